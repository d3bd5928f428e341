// A file of WebAssembly is imported as a compiled module: workerd, wrangler and esbuild agree on that.
declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}

// The part of Node's module that workerd has under the flag `nodejs_als`.
declare module "node:async_hooks" {
  export class AsyncLocalStorage<T> {
    getStore(): T | undefined;
    run<R>(store: T, callback: () => R): R;
  }
}
