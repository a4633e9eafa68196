//! Real database servers, and what another user of the machine can do to them.
//!
//! Without libtest: a server is started by this executable, as `lane --exec COMMAND` (see `rtswap lane`).

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

use nix::unistd::geteuid;
use rtswap_lane::process::die_with_parent;
use rtswap_service::{Config, Services};
use rtswap_workload::Uses;

/// The number of the user `nobody`.
const NOBODY: u32 = 65_534;

const KINDS: [(Uses, &str, &str); 3] = [
    (Uses::Redis, "redis", "redis-server"),
    (Uses::Mysql, "mysql", "mariadbd"),
    (Uses::Postgres, "postgres", "postgres"),
];

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [lane, exec, command] = arguments.as_slice()
        && (lane.as_str(), exec.as_str()) == ("lane", "--exec")
    {
        die_with_parent().unwrap();
        let error = Command::new("sh").arg("-c").arg(format!("exec {command}")).exec();
        panic!("{error}");
    }
    // What `cargo nextest` and others ask for.
    if arguments.iter().any(|argument| argument == "--list") {
        return;
    }
    for (uses, name, program) in KINDS {
        let config = Config { cpus: vec![0], ..Config::default() };
        let mut services = Services::start(&BTreeSet::from([uses]), &config);
        if let Some(missing) = services.missing(&[uses]) {
            let missing = missing.with_causes();
            assert!(missing.contains("is not installed"), "{missing}");
            println!("{name}: skipped: {missing}");
            continue;
        }
        let url = services.resources(&[uses], "lane").unwrap()[name].clone();
        let server = Server::of(&url);
        match uses {
            Uses::Redis => redis(&server),
            Uses::Mysql => mysql(&server),
            _ => postgres(&server, &url),
        }
        server.assert_hidden(program);
        println!("{name}: ok");
    }
}

/// What is in a URL.
struct Server {
    password: String,
    port: String,
}

impl Server {
    fn of(url: &str) -> Self {
        let (login, place) = url.split_once("://").unwrap().1.split_once('@').unwrap();
        let port = place.split('/').next().unwrap().split_once(':').unwrap().1;
        let password = login.split_once(':').unwrap().1;
        Self { password: password.to_owned(), port: port.to_owned() }
    }

    /// The server runs as the account of its package, cannot plant links for rtswap to follow, and its password is
    /// in no command line or environment.
    fn assert_hidden(&self, program: &str) {
        let mut seen = false;
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let path = process.path();
            let line = fs::read(path.join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let environment = fs::read(path.join("environ")).unwrap_or_default();
            let environment = String::from_utf8_lossy(&environment);
            assert!(!line.contains(&self.password) && !environment.contains(&self.password));
            if line.contains(program) && line.contains(&self.port) {
                seen = true;
                let status = fs::read_to_string(path.join("status")).unwrap();
                let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
                let uid: u32 = uid.split_whitespace().next().unwrap().parse().unwrap();
                if geteuid().is_root() {
                    assert_ne!(uid, 0, "{line} runs as root");
                    assert_cannot_plant(&fs::read_link(path.join("cwd")).unwrap(), uid);
                }
            }
        }
        assert!(seen, "{program} listens on {}", self.port);
    }
}

/// What rtswap writes to as root is out of reach of the account of a server that works in `data`.
fn assert_cannot_plant(data: &Path, account: u32) {
    let folder = data.parent().unwrap();
    let group = fs::metadata(folder).unwrap().gid();
    for name in ["log", "pg_hba.conf", "init.sql", "redis.conf"] {
        let link = ["-sfn", "/tmp/elsewhere"].map(OsString::from);
        let mut plant = Command::new("ln");
        plant.args(link).arg(folder.join(name)).uid(account).gid(group);
        let planted = plant.output().unwrap();
        assert_says(&planted, "Permission denied");
    }
    assert_eq!(fs::metadata(folder).unwrap().mode() & 0o027, 0, "nobody else has access");
}

/// Runs a client as another user, if this one is root.
fn client(command: &mut Command) -> Output {
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.env("HOME", "/nonexistent").current_dir("/").output().unwrap()
}

#[track_caller]
fn assert_says(output: &Output, part: &str) {
    let said = [&*output.stdout, &*output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains(part), "`{part}` is not in: {said}");
}

fn redis(server: &Server) {
    let cli = |login: Option<&str>, words: &[&str]| {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &server.port]);
        if let Some(password) = login {
            command.args(["--user", "rtswap"]).env("REDISCLI_AUTH", password);
        }
        command.args(words);
        client(&mut command)
    };
    for words in [&["GET", "x"][..], &["CONFIG", "SET", "dir", "/tmp"], &["SHUTDOWN"]] {
        assert_says(&cli(None, words), "NOAUTH");
    }
    assert_says(&cli(Some("wrong"), &["GET", "x"]), "WRONGPASS");
    let right = Some(server.password.as_str());
    assert_says(&cli(right, &["SET", "x", "1"]), "OK");
    for words in [&["CONFIG", "SET", "dir", "/tmp"][..], &["EVAL", "return 1", "0"], &["KEYS", "*"]]
    {
        assert_says(&cli(right, words), "NOPERM");
    }
}

fn mysql(server: &Server) {
    let sql = |user: &str, password: &str, statement: &str| {
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "-h127.0.0.1", "-P", &server.port, "-u", user]);
        command.args(["-e", statement]).env("MYSQL_PWD", password);
        client(&mut command)
    };
    for user in ["root", "rtswap", "mysql", ""] {
        for password in ["", "wrong"] {
            assert_says(&sql(user, password, "SELECT 1"), "Access denied");
        }
    }
    let own = |statement| sql("rtswap", &server.password, statement);
    assert_says(&own("CREATE TABLE rtswap.x (y INT); SELECT 'made'"), "made");
    for statement in [
        "SELECT * FROM mysql.global_priv",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "CREATE FUNCTION f RETURNS STRING SONAME 'x.so'",
        "SET GLOBAL general_log = 1",
        "CREATE DATABASE other",
    ] {
        assert_says(&own(statement), "denied");
    }
    assert_says(&own("SELECT IFNULL(LOAD_FILE('/etc/passwd'), 'nothing')"), "nothing");
}

fn postgres(server: &Server, url: &str) {
    let sql = |url: &str, statement: &str| {
        client(Command::new("psql").args(["-w", url, "-c", statement]))
    };
    let at = |login: &str| format!("postgres://{login}@127.0.0.1:{}/postgres", server.port);
    assert_says(&sql(&at("rtswap"), "SELECT 1"), "no password supplied");
    assert_says(&sql(&at("rtswap:wrong"), "SELECT 1"), "password authentication failed");
    for login in ["postgres", "root", &format!("postgres:{}", server.password)] {
        assert_says(&sql(&at(login), "SELECT 1"), "no pg_hba.conf entry");
    }
    assert_says(&sql(url, "CREATE TABLE x (y INT)"), "CREATE TABLE");
    for statement in [
        "COPY x FROM PROGRAM 'id'",
        "COPY x FROM '/etc/passwd'",
        "ALTER SYSTEM SET fsync = on",
        "CREATE ROLE other",
        "SELECT pg_read_file('/etc/passwd')",
    ] {
        let refused = sql(url, statement);
        let said = String::from_utf8_lossy(&refused.stderr);
        let reasons = ["permission denied", "must be superuser"];
        assert!(reasons.iter().any(|reason| said.contains(reason)), "{statement}: {said}");
    }
    let superuser = "SELECT 'super: ' || rolsuper FROM pg_roles WHERE rolname = current_user";
    assert_says(&sql(url, superuser), "super: false");
}
