// Search attributes and their filters, as the engine reads and tells them.

import type { SearchAttribute } from "@sayiir/flow-js";

/** Search attributes by name. */
export type SearchAttributes = Readonly<Record<string, SearchAttribute>>;

/** What is asked of a search attribute: a value that it is, or bounds of a number or an instant. */
export type AttributeFilter =
  | SearchAttribute
  | { readonly atLeast?: number | Date; readonly atMost?: number | Date };

type Told = { text: string } | { integer: number } | { bool: boolean } | { time: number };

function told(name: string, value: unknown): Told {
  switch (typeof value) {
    case "string":
      return { text: value };
    case "boolean":
      return { bool: value };
    case "number":
      if (Number.isSafeInteger(value)) return { integer: value };
      break;
    default:
      if (value instanceof Date && !Number.isNaN(value.getTime())) return { time: value.getTime() * 1000 };
  }
  const found = typeof value === "number" ? value : value instanceof Date ? "no instant" : `of type ${value === null ? "null" : typeof value}`;
  throw new TypeError(`the search attribute ${JSON.stringify(name)} is ${found}: it can be a text, a whole number, a boolean or a Date`);
}

/** Attributes to be set. */
export function toldAttributes(attributes: SearchAttributes): Record<string, Told> {
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, told(name, value)]));
}

/** Filters: `[name, test, value]` each. */
export function toldFilters(filters: Readonly<Record<string, AttributeFilter>>): [string, string, Told][] {
  return Object.entries(filters).flatMap(([name, filter]): [string, string, Told][] => {
    if (typeof filter !== "object" || filter instanceof Date) return [[name, "is", told(name, filter)]];
    const bounds = Object.entries(filter).filter(([, value]) => value !== undefined);
    const unknown = bounds.find(([test]) => test !== "atLeast" && test !== "atMost");
    if (unknown || bounds.length === 0) throw new TypeError(`the filter of ${JSON.stringify(name)} is a value, or { atLeast?, atMost? }`);
    return bounds.map(([test, value]) => [name, test, told(name, value)]);
  });
}

/** Attributes as a list has them. */
export function readAttributes(all: Record<string, Record<string, unknown>>): Record<string, SearchAttribute> {
  return Object.fromEntries(
    Object.entries(all).map(([name, value]) => [
      name,
      "time" in value ? new Date(Number(value["time"]) / 1000) : (Object.values(value)[0] as SearchAttribute),
    ]),
  );
}
