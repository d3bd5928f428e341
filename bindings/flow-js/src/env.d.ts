// What every JavaScript host has besides the language itself.
declare class TextEncoder {
  encode(text: string): Uint8Array;
}
declare function atob(text: string): string;
declare function btoa(text: string): string;
interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: any;
  throwIfAborted(): void;
}
