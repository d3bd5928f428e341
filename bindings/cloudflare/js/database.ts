// The two homes of instances, as the engine asks for them: lists of statements, each list one transaction.

/** What the engine asks of a database. */
export interface Database {
  /** Whether it is elsewhere, and may not answer. */
  readonly remote: boolean;
  batch(statements: readonly (readonly [sql: string, parameters: unknown[]])[]): Promise<unknown[][][]>;
}

/** D1: a batch is a transaction, and an error in it takes all of it back. */
export function d1(db: D1Database): Database {
  return {
    remote: true,
    async batch(statements) {
      const results = await db.batch<Record<string, unknown>>(statements.map(([sql, parameters]) => db.prepare(sql).bind(...parameters)));
      return results.map(({ results }) => results.map((row) => Object.values(row).map(value)));
    },
  };
}

/** The SQLite of a Durable Object; `wrote` is called after each transaction that may have written, in the same turn. */
export function durable(storage: DurableObjectStorage, wrote: () => void): Database {
  return {
    remote: false,
    async batch(statements) {
      const rows = storage.transactionSync(() =>
        statements.map(([sql, parameters]) => Array.from(storage.sql.exec(sql, ...parameters).raw(), (row) => row.map(value))),
      );
      if (statements.some(([sql]) => !sql.startsWith("SELECT"))) wrote();
      return rows;
    },
  };
}

/**
 * Makes all that is held in an object's SQLite due at once, and says whether anything was. The leases stay, so that whoever takes it counts a
 * crash. Called when everybody who held something there is gone.
 */
export function expireLeases(storage: DurableObjectStorage): boolean {
  if (storage.sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'sayiir_branch_leased'").toArray().length === 0) return false;
  const expire = "UPDATE sayiir_branch SET run_at = ?1 WHERE lease IS NOT NULL AND run_at > ?1 RETURNING 1";
  return storage.sql.exec(expire, Date.now() * 1000).toArray().length > 0;
}

/** Bytes come as a buffer or as a list of numbers. */
function value(value: unknown): unknown {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  return Array.isArray(value) ? Uint8Array.from(value as number[]) : value;
}
