// The services that an order needs. Give their addresses as variables (STOCK_URL, RISK_URL, PAYMENT_URL); without one, a
// stand-in answers, so that the example runs by itself.

import { env } from "cloudflare:workers";
import type { Item } from "./order.js";

interface Addresses {
  readonly STOCK_URL?: string;
  readonly RISK_URL?: string;
  readonly PAYMENT_URL?: string;
}

const { STOCK_URL, RISK_URL, PAYMENT_URL } = env as Addresses;

export const inventory = {
  async reserve(key: string, items: readonly Item[]): Promise<string> {
    const answer = await call<{ reservation: string }>(STOCK_URL, "reserve", key, { items }, () => ({ reservation: `reservation of ${items.length}` }));
    return answer.reservation;
  },

  async ship(key: string, reservation: string): Promise<void> {
    await call(STOCK_URL, "ship", key, { reservation }, () => ({}));
  },

  async release(key: string, reservation: string): Promise<void> {
    await call(STOCK_URL, "release", key, { reservation }, () => ({}));
  },
};

export const risk = {
  /** From 0 (no doubt) to 1. */
  async score(customer: string, total: number): Promise<number> {
    const answer = await call<{ score: number }>(RISK_URL, "score", undefined, { customer, total }, () => ({ score: Math.min(1, total / 1_000_00) }));
    return answer.score;
  },

  /** Tells the people who decide. */
  async askSomebody(customer: string): Promise<string> {
    console.log(`an order of ${customer} waits for a decision`);
    return "asked";
  },
};

export const payments = {
  async charge(key: string, customer: string, total: number): Promise<{ receipt: string; declined?: string }> {
    return await call(PAYMENT_URL, "charge", key, { customer, total }, () => ({ receipt: `receipt ${total}` }));
  },
};

async function call<T>(base: string | undefined, path: string, key: string | undefined, body: unknown, standIn: () => T): Promise<T> {
  if (base === undefined || base === "") return standIn();
  const response = await fetch(new URL(path, base), {
    method: "POST",
    headers: { "content-type": "application/json", ...(key === undefined ? {} : { "idempotency-key": key }) },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${(await response.text()).slice(0, 200)}`);
  return await response.json();
}
