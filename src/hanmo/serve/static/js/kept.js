/** Corrections in the browser's own storage (IndexedDB): pictures, each with its character. */

import { crc32 } from "./zip.js";

const DATABASE = "hanmo-corrections";
const STORE = "pictures";

/** Pictures at most: far more than hanmo adapt needs, and about 4 MB of drawings. */
const MOST = 2000;

/** @typedef {{character: string, digest: string, bytes: Uint8Array<ArrayBuffer>, suffix: string}} Kept */

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/**
 * Do something with the store. Rejects with the code "keep_unavailable" where the browser forbids storage or has no room.
 * @template T @param {IDBTransactionMode} mode @param {(store: IDBObjectStore) => Promise<T>} act @returns {Promise<T>}
 */
async function inStore(mode, act) {
  /** @type {IDBDatabase | null} */
  let database = null;
  try {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: ["character", "digest"] });
    database = await settled(request);
    const transaction = database.transaction(STORE, mode);
    const done = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    done.catch(() => {}); // where `act` fails first, its error is the one that is told
    const result = await act(transaction.objectStore(STORE));
    await done; // a full disk shows only here
    return result;
  } catch (error) {
    throw typeof error?.code === "string" ? error : problem("keep_unavailable", String(error));
  } finally {
    database?.close();
  }
}

/** @param {string} code @param {string} message */
const problem = (code, message) => Object.assign(new Error(message), { code });

/** @param {IDBObjectStore} store @returns {Promise<[character: string, digest: string][]>} */
const keysOf = async (store) => /** @type {any} */ (await settled(store.getAllKeys()));

/** Two sums of 32 bits each: crypto.subtle is missing where a page comes by plain HTTP. @param {Uint8Array} bytes */
function digestOf(bytes) {
  let fnv = 0x811c9dc5; // FNV-1a
  for (const byte of bytes) fnv = Math.imul(fnv ^ byte, 0x01000193);
  return `${crc32(bytes)}-${fnv >>> 0}-${bytes.length}`;
}

/**
 * Keep a picture with its character. One that is kept already gets this character in place of its old one.
 * @param {string} character @param {Uint8Array<ArrayBuffer>} bytes of a picture file @param {string} suffix its name's end
 */
export async function keepPicture(character, bytes, suffix) {
  const digest = digestOf(bytes);
  await inStore("readwrite", async (store) => {
    const keys = await keysOf(store);
    const same = keys.filter((key) => key[1] === digest);
    if (!same.length && keys.length >= MOST) throw problem("keep_full", `${MOST} pictures are kept`);
    for (const key of same) store.delete(key);
    await settled(store.put({ character, digest, bytes, suffix }));
  });
}

/** The character of each picture that is kept. @returns {Promise<string[]>} */
export function keptCharacters() {
  return inStore("readonly", async (store) => (await keysOf(store)).map(([character]) => character));
}

/** @returns {Promise<Kept[]>} by character */
export function keptPictures() {
  return inStore("readonly", (store) => settled(store.getAll()));
}

export async function forgetPictures() {
  await inStore("readwrite", (store) => settled(store.clear()));
}
