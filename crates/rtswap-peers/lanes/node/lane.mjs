// The lanes on Node.js, by its own modules: `node lane.mjs`.
//
// Which program it is, net or http, the workload says. JavaScript runs on one thread.

import { readFileSync, writeSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

import { LENGTHS, SleepOrder } from "./sleep_order.mjs";

class Refusal extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

const say = (answer, fields) => writeSync(1, JSON.stringify({ answer, ...fields }) + "\n");

function congestion() {
  try {
    return readFileSync("/proc/sys/net/ipv4/tcp_congestion_control", "utf8").trim();
  } catch {
    return "unknown";
  }
}

function info({ cpus }, notes) {
  const { node, v8, uv } = process.versions;
  if (cpus.length > 1) notes.cpus = `one of ${cpus.length}: JavaScript has one thread`;
  return { runtime: "node", version: node, driver: "epoll", workers: 1, shards: 1, notes: { v8, libuv: uv, ...notes } };
}

// pipe reads no more than the other side takes.
const echo = () =>
  net.createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    socket.pipe(socket);
  });

function large() {
  const [bytes, mask] = [Buffer.alloc(65536), (1n << 64n) - 1n];
  let state = 0x727473776170n;
  for (let at = 0; at < bytes.length; at += 8) {
    state = (state + 0x9e3779b97f4a7c15n) & mask;
    let word = ((state ^ (state >> 30n)) * 0xbf58476d1ce4e5b9n) & mask;
    word = ((word ^ (word >> 27n)) * 0x94d049bb133111ebn) & mask;
    bytes.writeBigUInt64LE(word ^ (word >> 31n), at);
  }
  return bytes;
}

function web() {
  const image = large();
  const answers = {
    "/plaintext": () => ["text/plain", "Hello, World!"],
    "/json": () => ["application/json", JSON.stringify({ message: "Hello, World!" })],
    "/64KiB": () => ["application/octet-stream", image],
  };
  // Connections are silent while other lanes work, and nothing looks after them meanwhile.
  const patience = { keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0, connectionsCheckingInterval: 2 ** 30 };
  return http.createServer({ noDelay: true, ...patience }, (request, response) => {
    const answer = answers[request.url];
    if (!answer) return response.writeHead(404).end();
    const [type, body] = answer();
    response.writeHead(200, { "content-type": type, "content-length": Buffer.byteLength(body), server: "node" });
    response.end(body);
  });
}

async function serve(order, server, notes) {
  const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(order.addr ?? "127.0.0.1:0");
  await new Promise((resolve, reject) => {
    server.on("error", (error) => reject(new Refusal("failed", `cannot listen on ${order.addr}: ${error.message}`)));
    server.listen({ host, port: Number(port), backlog: 1024 }, resolve);
  });
  const { address, family, port: bound } = server.address();
  const addr = family === "IPv6" ? `[${address}]:${bound}` : `${address}:${bound}`;
  // There is no way to set TCP_CONGESTION from JavaScript.
  return { addr, info: info(order, { congestion: `${congestion()}, the machine's`, ...notes }) };
}

// Timers count whole milliseconds, so that a finer clock sees them end early by as much.
const EARLY_NS = 1_000_000n;

function sleeps(count, ms) {
  const asked = Array.from({ length: count }, (_, number) => ms + (number % LENGTHS));
  const order = new SleepOrder(ms);
  return async () => {
    const begin = process.hrtime.bigint();
    const one = async (ms) => {
      const start = process.hrtime.bigint();
      await sleep(ms);
      const end = process.hrtime.bigint();
      return { slept: end - start, at: Number(end - begin) };
    };
    const ends = await Promise.all(asked.map(one));
    ends.forEach(({ slept }, number) => {
      if (slept + EARLY_NS < BigInt(asked[number]) * 1_000_000n)
        throw new Refusal("invalid", `a sleep of ${asked[number]} ms ended after ${slept} ns`);
    });
    const first = (length) =>
      ends.reduce((first, { at }, number) => (number % LENGTHS === length ? Math.min(first, at) : first), Infinity);
    const wrong = order.check(Array.from({ length: Math.min(count, LENGTHS) }, (_, length) => first(length)));
    if (wrong) throw new Refusal("invalid", wrong);
    return count;
  };
}

async function prepare(order) {
  const [family, ...rest] = order.workload.split("/");
  const params = Object.fromEntries(rest.map((param) => param.split("=")));
  if (order.delay_ns) throw new Refusal("unsupported", "a peer cannot be slowed down");
  if (params.buffer === "exact") throw new Refusal("unsupported", "buffer=exact: a peer reads into a longer buffer");
  const [, , peer] = process.argv;
  const known = peer === "node-http" ? ["http"] : ["tcp-echo", "idle", "churn", "sleep"];
  if (!known.includes(family)) throw new Refusal("unsupported", `no \`${family}\` here, only ${known.join(", ")}`);
  switch (family) {
    case "http":
      if (params.h2 === "true") throw new Refusal("unsupported", "this lane serves HTTP/1.1 alone");
      return [await serve(order, web(), { api: "http.createServer" })];
    case "sleep":
      return [{ info: info(order, { early: "by less than 1 ms" }) }, sleeps(Number(params.tasks), Number(params.ms))];
    default:
      return [await serve(order, echo(), { api: "net.createServer, pipe" })];
  }
}

async function slice(batch, ms) {
  const begin = process.hrtime.bigint();
  const elapsed = () => Number(process.hrtime.bigint() - begin);
  let ops = 0;
  while (elapsed() < ms * 1e6) ops += await batch();
  return { ops, elapsed_ns: elapsed() };
}

let batch;
try {
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    if (order.order === "prepare") {
      const [ready, drives] = await prepare(order);
      batch = drives;
      // V8 compiles what runs often: of an echo in 200 ms of work, of HTTP in more than 500.
      say("ready", { ...ready, warm_up_ms: order.workload.startsWith("http/") ? 1500 : 300 });
    } else if (order.order === "slice" && batch) say("slice", await slice(batch, order.ms));
    else if (order.order === "stop") {
      say("stopped");
      break;
    } else throw new Refusal("failed", `cannot do ${order.order} here`);
  }
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  say("failed", { status: error.status, reason: error.message });
}
process.exit(0);
