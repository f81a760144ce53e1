/**
 * No port: a service worker that keeps the page for use without a connection. src/hanmo/serve/site.py puts it beside
 * index.html as `offline.js`, so that it may answer for the whole folder, and writes the folder's version into it.
 *
 * Each version has a store of its own and is taken as a whole: a page never gets files of two versions. A newer version
 * is fetched in the background and answers when all pages of the older one are closed.
 */

const VERSION = "none";
/** What a service worker's global has and a page's has not. */
const worker = /** @type {any} */ (self);
const FOLDER = worker.registration.scope;
const PREFIX = `hanmo ${FOLDER} `; // other pages of this host have stores, too
const STORE = PREFIX + VERSION;

worker.addEventListener("install", (/** @type {any} */ event) => event.waitUntil(store()));

worker.addEventListener("activate", (/** @type {any} */ event) => {
  event.waitUntil(forgetOthers().then(() => worker.clients.claim()));
});

worker.addEventListener("fetch", (/** @type {any} */ event) => {
  if (event.request.method !== "GET" || !event.request.url.startsWith(FOLDER)) return;
  event.respondWith(answer(event.request));
  if (event.request.mode === "navigate") event.waitUntil(leaveIfGone().catch(() => {}));
});

async function store() {
  const list = await fetch(new URL("hanmo-site.json", FOLDER), { cache: "no-cache" });
  if (!list.ok) throw new Error("the list of files cannot be fetched");
  const { files, version } = await list.json();
  if (version !== VERSION) throw new Error("the folder is being replaced"); // the next visit tries again
  const names = Object.keys(files).filter((name) => !name.startsWith("licences/") && name !== "offline.js");
  const cache = await caches.open(STORE);
  // Asked about, not believed: the browser may still hold files of an older version.
  await cache.addAll(names.map((name) => new Request(new URL(name, FOLDER), { cache: "no-cache" })));
}

/** Where the host has something else at this address by now, that must not stay hidden behind what is kept. */
async function leaveIfGone() {
  const list = await fetch(new URL("hanmo-site.json", FOLDER), { cache: "no-cache" });
  if (list.status !== 404 && list.status !== 410) return;
  await worker.registration.unregister();
  await caches.delete(STORE);
}

async function forgetOthers() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== STORE).map((name) => caches.delete(name)));
}

/** @param {Request} request @returns {Promise<Response>} */
async function answer(request) {
  const cache = await caches.open(STORE);
  const { pathname } = new URL(request.url);
  const page = pathname === new URL(FOLDER).pathname; // the folder itself is its index.html
  const kept = await cache.match(page ? new URL("index.html", FOLDER).href : request, { ignoreSearch: true, ignoreVary: true });
  return kept ?? fetch(request);
}
