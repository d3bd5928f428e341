-- Plain advances of different branches: owners that keep their leases and go straight on. $1 a time in the place of the
-- database's, $2 how many there are. The members come in the order in which their rows are locked. A step that leaves the
-- branch where it was (a sub-step) belongs to the attempt that goes on. No column of an index changes its value, so that the
-- update is HOT. Answers for each member that was accepted.
WITH c AS MATERIALIZED (SELECT coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now),
t AS MATERIALIZED (
    SELECT * FROM unnest(
        $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::smallint[], $8::text[], $9::integer[], $10::bytea[], $11::bytea[],
        $12::text[], $13::bigint[], $14::text[], $15::text[], $16::smallint[], $17::integer[], $18::text[], $19::bigint[], $20::bigint[]
    ) WITH ORDINALITY AS t (
        run, branch, revision, lease, kind, path, tries, output, handed_on,
        same_branch, same_revision, error, node, phase, attempt, input_branch, input_revision, fork_revision, ord
    ) LIMIT $2
),
u AS (
    UPDATE branch b SET
        revision = b.revision + 1, node = t.node, phase = t.phase, attempt = t.attempt, input_branch = t.input_branch,
        input_revision = t.input_revision, fork_revision = t.fork_revision, due_at = NULL, awaits = NULL, crashes = 0,
        moved_at = greatest(b.moved_at, c.now),
        attempt_at = CASE WHEN b.node = t.node AND b.phase = t.phase AND b.attempt = t.attempt THEN b.attempt_at ELSE c.now END,
        progress = CASE WHEN b.node = t.node AND b.phase = t.phase AND b.attempt = t.attempt THEN b.progress END,
        progress_at = CASE WHEN b.node = t.node AND b.phase = t.phase AND b.attempt = t.attempt THEN b.progress_at END
    FROM t CROSS JOIN c
    WHERE b.run = t.run AND b.branch = t.branch AND b.revision = t.revision AND b.lease IS NOT DISTINCT FROM t.lease
    RETURNING t.*, b.moved_at AS at
),
j AS (
    INSERT INTO journal (run, branch, revision, at, lease, kind, node, attempt, output, handed_on, same_branch, same_revision, error)
    SELECT run, branch, revision + 1, at, lease, kind, path, tries, output, handed_on, same_branch, same_revision, error FROM u
)
SELECT ord, 0::smallint AS verdict, at, false AS readied, NULL::bigint AS lane FROM u
