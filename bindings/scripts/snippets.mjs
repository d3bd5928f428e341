// Takes the TypeScript out of pages and has the compiler look at it: what a page shows compiles.
// Usage: node snippets.mjs <folder for the files> <page>...

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const [folder, ...pages] = process.argv.slice(2);
const target = resolve(folder);
const bindings = join(dirname(fileURLToPath(import.meta.url)), "..");
rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });

let count = 0;
for (const page of pages) {
  const text = readFileSync(page, "utf8");
  const found = [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)];
  if (found.length === 0) throw new Error(`${page} has no TypeScript`);
  for (const [index, [, code]] of found.entries()) {
    const line = text.slice(0, found[index].index).split("\n").length + 1;
    writeFileSync(join(target, `${basename(dirname(resolve(page)))}-${basename(page, ".md")}-line-${line}.ts`), `${code}\nexport {};\n`);
    count += 1;
  }
}
writeFileSync(join(target, "page.html.d.ts"), 'declare module "*.html" {\n  const text: string;\n  export default text;\n}\n');
writeFileSync(
  join(target, "tsconfig.json"),
  JSON.stringify({
    compilerOptions: {
      target: "ES2022",
      module: "ESNext",
      moduleResolution: "Bundler",
      lib: ["ES2022"],
      types: ["@cloudflare/workers-types/2023-07-01"],
      strict: true,
      noUncheckedIndexedAccess: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      noEmit: true,
    },
    include: ["*.ts"],
  }),
);
try {
  execFileSync(process.execPath, [join(bindings, "node_modules/typescript/bin/tsc"), "-p", target], { stdio: "inherit" });
} catch {
  console.error(`the snippets are in ${target}; the number is the line of the page`);
  process.exit(1);
}
console.log(`# ${count} snippets of ${pages.length} page(s) compile`);
