//! What is in the tables of `mysql` and `postgres`: `TechEmpower`'s `World` and `Fortune`.
//!
//! The lanes fill them, not the harness: whichever comes first does, under a lock of the server's, and
//! all others find that it is done. That is one way for servers that the harness has started and for
//! those of the user's, it speaks each protocol with the client that is there anyway, and the harness
//! needs neither a runtime nor a second client for it. It takes well below a second, before the lane is
//! ready.

use std::future::Future;
use std::ops::Range;
use std::sync::OnceLock;

use crate::Fault;
use crate::server::ServerUrl;

/// Rows of `rtswap_world`: their ids are 1 to this.
pub(crate) const WORLDS: u32 = 10_000;

/// Rows of an `INSERT`.
const CHUNK: u32 = 1000;

/// The row that is added at each request.
pub(crate) const ADDED: &str = "Additional fortune added at request time.";

/// Rows of `rtswap_fortune`, by id from 1.
const FORTUNES: [&str; 12] = [
    "fortune: No such file or directory",
    "A computer scientist is someone who fixes things that aren't broken.",
    "After enough decimal places, nobody gives a damn.",
    "A bad random number generator: 1, 1, 1, 1, 1, 4.33e+67, 1, 1, 1",
    "A computer program does what you tell it to do, not what you want it to do.",
    "Emacs is a nice operating system, but I prefer UNIX. — Tom Christaensen",
    "Any program that runs right is obsolete.",
    "A list is only as strong as its weakest link. — Donald Knuth",
    "Feature: A bug with seniority.",
    "Computers make very fast, very accurate mistakes.",
    "<script>alert(\"This should not be displayed in a browser alert box.\");</script>",
    "フレームワークのベンチマーク",
];

/// The query of `mix=fortunes`.
pub(crate) const ALL_FORTUNES: &str = "SELECT id, message FROM rtswap_fortune";

/// What `rtswap_world` holds for an id: any number from 1 to 10,000, but the same each time, so that
/// every answer can be checked.
pub(crate) fn number_of(id: u32) -> u32 {
    id * 7919 % WORLDS + 1
}

/// Adds the row of the request, sorts by message, and compares with what should come out of that.
pub(crate) fn check_fortunes(mut rows: Vec<(i32, String)>) -> Result<(), Fault> {
    static EXPECTED: OnceLock<Vec<(i32, String)>> = OnceLock::new();
    rows.push((0, ADDED.to_owned()));
    rows.sort_by(|a, b| a.1.cmp(&b.1));
    let expected = EXPECTED.get_or_init(|| {
        let rows = (1..).zip(FORTUNES).map(|(id, message)| (id, message.to_owned()));
        let mut rows: Vec<_> = rows.chain([(0, ADDED.to_owned())]).collect();
        rows.sort_by(|a, b| a.1.cmp(&b.1));
        rows
    });
    if rows == *expected {
        return Ok(());
    }
    let odd = rows.iter().find(|row| !expected.contains(row));
    Err(Fault::Wrong(format!("{} fortunes, of which this one is wrong: {odd:?}", rows.len())))
}

/// Checks a row of `rtswap_world`.
pub(crate) fn check_world(asked: u32, id: i32, number: i32) -> Result<(), Fault> {
    if u32::try_from(id) == Ok(asked) && u32::try_from(number) == Ok(number_of(asked)) {
        return Ok(());
    }
    Err(Fault::Wrong(format!("row {asked} of rtswap_world came as id {id}, number {number}")))
}

/// What filling takes of a client.
pub(crate) trait Sql: Send {
    /// Runs a statement, whatever it answers.
    fn run(&mut self, sql: &str) -> impl Future<Output = Result<(), Fault>> + Send;

    /// The one number that a query answers.
    fn number(&mut self, sql: &str) -> impl Future<Output = Result<u64, Fault>> + Send;
}

/// In what servers differ.
pub(crate) struct Dialect {
    /// Takes a lock that lasts until [`unlock`](Self::unlock), or the end of the connection.
    pub lock: &'static str,
    pub unlock: &'static str,
    /// After a table's columns: how its texts are kept.
    pub charset: &'static str,
}

/// Makes and fills what is missing, and checks all of it.
pub(crate) async fn fill(
    server: &ServerUrl,
    sql: &mut impl Sql,
    dialect: &Dialect,
) -> Result<(), Fault> {
    sql.run(dialect.lock).await?;
    for table in [world(), fortune()] {
        let Table { name, columns, rows, right, values } = table;
        let charset = dialect.charset;
        sql.run(&format!("CREATE TABLE IF NOT EXISTS {name} ({columns}) {charset}")).await?;
        let total = format!("SELECT COUNT(*) FROM {name}");
        if sql.number(&total).await? == 0 {
            // All or nothing: a lane may be killed at any time.
            sql.run("START TRANSACTION").await?;
            for first in (1..=rows).step_by(CHUNK as usize) {
                let some = values(first..(first + CHUNK).min(rows + 1));
                sql.run(&format!("INSERT INTO {name} VALUES {some}")).await?;
            }
            sql.run("COMMIT").await?;
        }
        let (total, right) = (
            sql.number(&total).await?,
            sql.number(&format!("SELECT COUNT(*) FROM {name} WHERE {right}")).await?,
        );
        if (total, right) != (rows.into(), rows.into()) {
            return Err(server.fault(format!(
                "its table {name} should have {rows} rows and has {total}, of which {right} are right; drop it"
            )));
        }
    }
    sql.run(dialect.unlock).await
}

struct Table {
    name: &'static str,
    columns: &'static str,
    rows: u32,
    /// Holds for each row that is as it should be.
    right: &'static str,
    /// Rows as SQL.
    values: fn(Range<u32>) -> String,
}

fn world() -> Table {
    Table {
        name: "rtswap_world",
        columns: "id INT NOT NULL PRIMARY KEY, randomnumber INT NOT NULL",
        rows: WORLDS,
        right: "randomnumber = id * 7919 % 10000 + 1 AND id BETWEEN 1 AND 10000",
        values: |ids| join(ids.map(|id| format!("({id},{})", number_of(id)))),
    }
}

/// Its texts are checked at every request.
fn fortune() -> Table {
    Table {
        name: "rtswap_fortune",
        columns: "id INT NOT NULL PRIMARY KEY, message VARCHAR(2048) NOT NULL",
        rows: FORTUNES.len() as u32,
        right: "id BETWEEN 1 AND 12",
        values: |ids| {
            let text = |id: u32| FORTUNES[id as usize - 1].replace('\'', "''");
            join(ids.map(|id| format!("({id},'{}')", text(id))))
        },
    }
}

fn join(rows: impl Iterator<Item = String>) -> String {
    rows.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<(i32, String)> {
        (1..).zip(FORTUNES).map(|(id, message)| (id, message.to_owned())).collect()
    }

    #[test]
    fn fortunes_may_come_in_any_order_and_must_all_be_right() {
        let mut reversed = rows();
        reversed.reverse();
        check_fortunes(reversed).unwrap();
        let mut garbled = rows();
        garbled[11].1 = "????".to_owned();
        assert!(check_fortunes(garbled).unwrap_err().to_string().contains("????"));
        assert!(check_fortunes(rows()[1..].to_vec()).is_err(), "one is missing");
    }

    #[test]
    fn every_number_of_a_world_is_checked() {
        check_world(1, 1, 7920).unwrap();
        assert!(check_world(1, 1, 7921).is_err() && check_world(1, 2, 7920).is_err());
        assert!((1..=WORLDS).all(|id| (1..=WORLDS).contains(&number_of(id))));
    }

    #[test]
    fn texts_are_quoted() {
        assert!((fortune().values)(2..3).contains("aren''t"));
    }
}
