// Durations as people write them: "30s", "1h 30m", or a number of milliseconds.

/** A duration: a number of milliseconds, or text such as `"250ms"`, `"30s"`, `"1.5h"`, `"1h 30m"`, `"7d"`. */
export type Duration = number | string;

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** A thousand years, which is more than the engine takes for a delay or timeout. */
export const MAX_DURATION_MS = 1000 * 366 * 24 * 3_600_000;

const PART = /(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*/gy;

/**
 * The milliseconds of a duration.
 *
 * @throws `RangeError` with `Invalid duration: "x"` where the text is none.
 */
export function parseDuration(duration: Duration): number {
  if (typeof duration === "number") {
    if (!Number.isFinite(duration) || duration < 0) throw new RangeError(`Invalid duration: "${duration}"`);
    return Math.round(duration);
  }
  const invalid = (): RangeError =>
    new RangeError(`Invalid duration: "${String(duration)}" (write a number of milliseconds, or "250ms", "30s", "5m", "1h 30m", "7d")`);
  if (typeof duration !== "string") throw invalid();
  const text = duration.trim();
  let total = 0;
  let read = 0;
  for (const part of text.matchAll(PART)) {
    const [whole, amount, unit] = part;
    total += Number(amount) * (UNITS[unit ?? ""] ?? Number.NaN);
    read += whole.length;
  }
  if (text === "" || read !== text.length || !Number.isSafeInteger(Math.round(total))) throw invalid();
  return Math.round(total);
}
