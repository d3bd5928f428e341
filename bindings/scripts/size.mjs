// What a module of WebAssembly weighs, and whether that is too much. Usage: node size.mjs <module> <most bytes as gzip>

import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";

const [path, limit] = process.argv.slice(2);
const module = readFileSync(path);
const gzip = gzipSync(module, { level: 9 }).length;
console.log(`    ${basename(path)}: ${module.length} bytes, ${gzip} as gzip, ${brotliCompressSync(module).length} as brotli`);
if (!(gzip <= Number(limit))) {
  console.error(`${basename(path)} has ${gzip} bytes as gzip, and is to have ${limit} at most: each isolate loads it`);
  process.exit(1);
}
