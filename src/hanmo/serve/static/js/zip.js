/** Files -> one .zip, not compressed: PNG and JPEG are already. After PKWARE's APPNOTE, the parts that all readers know. */

const VERSION = 20; // 2.0: the first version that has folders
const DATE = 0x21; // 1980-01-01, the earliest there is: the same files give the same bytes

/** @typedef {{name: string, bytes: Uint8Array<ArrayBuffer>}} Entry a path in ASCII, and what the file holds */

/** CRC-32 of ISO 3309 for each byte. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit += 1) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  return rest;
});

/** @param {Uint8Array} bytes @returns {number} */
export function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** Little-endian numbers, one after the other. @param {[number, 2 | 4][]} fields value and bytes */
function numbers(fields) {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [, size]) => sum + size, 0)));
  let at = 0;
  for (const [value, size] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return new Uint8Array(view.buffer);
}

/** @param {Entry[]} entries at most 65,535 @returns {Blob} */
export function zip(entries) {
  const body = [];
  const directory = [];
  let offset = 0;
  for (const { name, bytes } of entries) {
    const path = new TextEncoder().encode(name);
    // Flags 0, method 0 (stored), time and date, checksum, both sizes, length of the name, no extra field.
    /** @type {[number, 2 | 4][]} */
    const shared = [
      [VERSION, 2], [0, 2], [0, 2], [0, 2], [DATE, 2],
      [crc32(bytes), 4], [bytes.length, 4], [bytes.length, 4], [path.length, 2], [0, 2],
    ];
    const head = numbers([[0x04034b50, 4], ...shared]);
    body.push(head, path, bytes);
    // No comment, disk 0, no attributes, and where the file's own head lies.
    directory.push(numbers([[0x02014b50, 4], [VERSION, 2], ...shared, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]]), path);
    offset += head.length + path.length + bytes.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const count = entries.length;
  const end = numbers([[0x06054b50, 4], [0, 2], [0, 2], [count, 2], [count, 2], [size, 4], [offset, 4], [0, 2]]);
  return new Blob([...body, ...directory, end], { type: "application/zip" });
}
