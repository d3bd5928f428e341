//! The statement that starts runs under ids of which nothing is known.

use sayiir_core::branch::RunNumber;
use sayiir_persistence::{Definition, StartRun};
use sqlx::Row;

use crate::fault::{Fault, Outcome};
use crate::ops::{attributes, lanes};
use crate::rows::{db, maybe_number, micros, most, time};
use crate::tx::Tx;

pub(crate) const START: &str = include_str!("../sql/start.sql");

/// A start with the numbers of its definition and lane, as this process remembers them.
pub(crate) struct New<'a> {
    pub(crate) definition: i64,
    pub(crate) lane: i64,
    pub(crate) request: &'a StartRun,
}

/// What became of a start under an id of which nothing should be known.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Begun {
    Fresh(RunNumber),
    /// Something is known of the id.
    Known,
    /// The numbers of definition and lane are not what this process remembers.
    LaneForgotten,
}

/// Starts them, no two of one id. Says what became of each, in order.
pub(crate) async fn begin(tx: &mut Tx<'_>, members: &[New<'_>]) -> Outcome<Vec<Begun>> {
    let columns = Columns::of(members);
    let rows = columns.bind(sqlx::query(START).bind(tx.given()).bind(most(members.len()))).fetch_all(&mut *tx.conn).await?;
    let mut begun = vec![Begun::Known; members.len()];
    for row in rows {
        tx.now = time(&row, "now")?;
        let ord: i64 = row.try_get("ord")?;
        let place = usize::try_from(ord - 1).ok().and_then(|index| begun.get_mut(index));
        let place = place.ok_or_else(|| Fault::corrupt(format!("start {ord} of {} was answered", members.len())))?;
        *place = maybe_number(&row, "run")?.map_or(Begun::LaneForgotten, |run| Begun::Fresh(RunNumber(run)));
    }
    Ok(begun)
}

/// Starts as columns: each is one array parameter.
#[derive(Default)]
struct Columns<'a> {
    instance_id: Vec<&'a str>,
    definition: Vec<i64>,
    hash: Vec<&'a [u8]>,
    lane: Vec<i64>,
    tags_key: Vec<Vec<u8>>,
    priority: Vec<i16>,
    nonce: Vec<Vec<u8>>,
    first_node: Vec<&'a str>,
    trace: Vec<Option<&'a str>>,
    lease: Vec<Option<i64>>,
    ttl: Vec<i64>,
    input: Vec<&'a [u8]>,
    /// Whose attributes they are.
    owner: Vec<i64>,
    attributes: attributes::Columns,
}

type Asked<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

impl<'a> Columns<'a> {
    fn of(members: &[New<'a>]) -> Self {
        let mut columns = Self::default();
        for (ord, member) in (1..).zip(members) {
            columns.push(ord, member);
        }
        columns
    }

    fn push(&mut self, ord: i64, New { definition, lane, request }: &New<'a>) {
        let StartRun {
            instance_id,
            definition: Definition { hash, .. },
            policy: _,
            input,
            first_node,
            placement,
            nonce,
            lease,
            trace,
            attributes,
        } = request;
        self.instance_id.push(instance_id);
        self.definition.push(*definition);
        self.hash.push(hash.as_bytes().as_slice());
        self.lane.push(*lane);
        self.tags_key.push(lanes::key_of_tags(&placement.tags).to_vec());
        self.priority.push(i16::from(placement.priority.as_u8()));
        self.nonce.push(nonce.to_be_bytes().to_vec());
        self.first_node.push(first_node);
        self.trace.push(trace.as_deref());
        self.lease.push(lease.map(|(lease, _)| db(lease.0)));
        self.ttl.push(lease.map_or(0, |(_, ttl)| micros(ttl)));
        self.input.push(input);
        self.owner.extend(attributes.iter().map(|_| ord));
        let (names, kinds, numbers, texts) = attributes::columns(attributes);
        self.attributes.0.extend(names);
        self.attributes.1.extend(kinds);
        self.attributes.2.extend(numbers);
        self.attributes.3.extend(texts);
    }

    fn bind<'q>(self, asked: Asked<'q>) -> Asked<'q>
    where
        'a: 'q,
    {
        let Self {
            instance_id,
            definition,
            hash,
            lane,
            tags_key,
            priority,
            nonce,
            first_node,
            trace,
            lease,
            ttl,
            input,
            owner,
            attributes,
        } = self;
        let asked = asked.bind(instance_id).bind(definition).bind(hash).bind(lane).bind(tags_key).bind(priority).bind(nonce);
        let asked = asked.bind(first_node).bind(trace).bind(lease).bind(ttl).bind(input);
        let (names, kinds, numbers, texts) = attributes;
        asked.bind(owner).bind(names).bind(kinds).bind(numbers).bind(texts)
    }
}
