//! Two MariaDB servers, a primary and a replica by GTID.

use crate::support::clock::until;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

pub(super) const CHECK_PASSWORD: &str = "pass for checks";

/// One server.
struct Server {
    id: u16,
    port: u16,
    data: PathBuf,
    child: Child,
}

/// Two servers that begin with the same empty data.
pub(crate) struct Pair {
    pub(super) folder: TempDir,
    servers: [Server; 2],
}

impl Pair {
    /// The first is primary, the second follows it.
    pub(crate) fn start(ports: [u16; 2]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("minato-mariadb-")
            .tempdir()
            .unwrap();
        let first = folder.path().join("1");
        let made = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal"])
            .args(["--skip-test-db", "--skip-name-resolve"])
            .arg(format!("--datadir={}", first.display()))
            .arg(format!("--tmpdir={}", temporary(&first)))
            .args(as_user())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let second = folder.path().join("2");
        let copied = Command::new("cp")
            .arg("-a")
            .args([&first, &second])
            .status()
            .unwrap();
        assert!(copied.success());
        let servers = [(1, ports[0], first), (2, ports[1], second)].map(|(id, port, data)| {
            let child = spawn(id, port, &data, &[]);
            Server {
                id,
                port,
                data,
                child,
            }
        });
        let pair = Self { folder, servers };
        pair.wait(0);
        pair.wait(1);
        pair.sql(
            0,
            &[
                &format!("CREATE USER minato@'127.0.0.1' IDENTIFIED BY '{CHECK_PASSWORD}'"),
                "GRANT SLAVE MONITOR ON *.* TO minato@'127.0.0.1'",
                "CREATE USER app@'127.0.0.1' IDENTIFIED BY 'app'",
                "GRANT ALL ON library.* TO app@'127.0.0.1'",
                "CREATE USER follower@'127.0.0.1' IDENTIFIED BY 'follower'",
                "GRANT REPLICATION SLAVE ON *.* TO follower@'127.0.0.1'",
                "CREATE DATABASE library",
                "CREATE TABLE library.entries (n BIGINT, server INT)",
            ],
        );
        pair.follow(1, 0);
        pair
    }

    pub(super) fn password_file(&self) -> PathBuf {
        let file = self.folder.path().join("password");
        fs::write(&file, format!("{CHECK_PASSWORD}\n")).unwrap();
        private(&file);
        file
    }

    pub(crate) fn port(&self, which: usize) -> u16 {
        self.servers[which].port
    }

    pub(super) fn pid(&self, which: usize) -> u32 {
        self.servers[which].child.id()
    }

    /// As root, on the server itself.
    #[track_caller]
    pub(crate) fn sql(&self, which: usize, statements: &[&str]) -> String {
        let socket = self.servers[which].data.join("s");
        let done = Command::new("mariadb")
            .args([
                "--no-defaults",
                "--batch",
                "--skip-column-names",
                "--user=root",
            ])
            .arg(format!("--socket={}", socket.display()))
            .args(["--execute", &statements.join(";\n")])
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{statements:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// `who` becomes a replica of `whom`.
    #[track_caller]
    pub(super) fn follow(&self, who: usize, whom: usize) {
        let port = self.port(whom);
        self.sql(who, &[
            "SET GLOBAL read_only = 1",
            "STOP SLAVE",
            &format!("CHANGE MASTER TO master_host='127.0.0.1', master_port={port}, master_user='follower', master_password='follower', master_use_gtid=current_pos, master_connect_retry=1"),
            "START SLAVE",
        ]);
    }

    /// The same where `who` has rows that nobody else ever saw: they are nobody's business here.
    #[track_caller]
    pub(super) fn follow_from_now(&self, who: usize, whom: usize) {
        let position = self.sql(whom, &["SELECT @@gtid_current_pos"]);
        self.sql(
            who,
            &[
                "SET GLOBAL read_only = 1",
                "STOP SLAVE",
                "RESET MASTER",
                &format!("SET GLOBAL gtid_slave_pos = '{position}'"),
            ],
        );
        self.follow(who, whom);
    }

    #[track_caller]
    pub(super) fn promote(&self, who: usize) {
        self.sql(
            who,
            &["STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0"],
        );
    }

    /// Waits until `who` has all that `whom` has.
    #[track_caller]
    pub(super) fn caught_up(&self, who: usize, whom: usize) {
        until("the replica to catch up", || {
            // Taken first: rows go on being written.
            let wanted = self.sql(whom, &["SELECT @@gtid_binlog_pos"]);
            let waited = format!("SELECT MASTER_GTID_WAIT('{wanted}', 1)");
            (self.sql(who, &[&waited]) == "0").then_some(())
        });
    }

    #[track_caller]
    pub(super) fn wait(&self, which: usize) {
        let socket = self.servers[which].data.join("s");
        until("MariaDB to answer", || {
            let asked = Command::new("mariadb-admin")
                .args(["--no-defaults", "--user=root", "ping"])
                .arg(format!("--socket={}", socket.display()))
                .stderr(Stdio::null())
                .stdout(Stdio::null())
                .status()
                .unwrap();
            asked.success().then_some(())
        });
    }

    pub(super) fn kill(&mut self, which: usize) {
        let child = &mut self.servers[which].child;
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(super) fn revive(&mut self, which: usize, more: &[&str]) {
        let server = &mut self.servers[which];
        server.child = spawn(server.id, server.port, &server.data, more);
        self.wait(which);
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.child.kill();
            let _ = server.child.wait();
            if std::thread::panicking() {
                let log = fs::read_to_string(server.data.join("log")).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(15).collect();
                eprintln!("server {}: {tail:#?}", server.id);
            }
        }
    }
}

/// The server refuses to run as root where that is not said.
fn as_user() -> Vec<&'static str> {
    match rustix::process::geteuid().is_root() {
        true => vec!["--user=root"],
        false => Vec::new(),
    }
}

/// A folder of its own beside the data: a server that starts removes what others have in theirs.
fn temporary(data: &Path) -> String {
    let folder = data.with_extension("tmp");
    fs::create_dir_all(&folder).unwrap();
    folder.display().to_string()
}

fn spawn(id: u16, port: u16, data: &Path, more: &[&str]) -> Child {
    let at = |name: &str| data.join(name).display().to_string();
    Command::new("mariadbd")
        .arg("--no-defaults")
        .args(as_user())
        .args([
            format!("--datadir={}", data.display()),
            format!("--tmpdir={}", temporary(data)),
            format!("--socket={}", at("s")),
            format!("--pid-file={}", at("pid")),
            format!("--log-error={}", at("log")),
            format!("--port={port}"),
            format!("--server-id={id}"),
            format!("--log-bin={}", at("binlog")),
            // Without a name of its own the relay log would be named after the machine.
            format!("--relay-log={}", at("relaylog")),
        ])
        .args([
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--log-slave-updates",
            "--innodb-buffer-pool-size=16M",
            "--innodb-log-file-size=8M",
            "--innodb-flush-log-at-trx-commit=0",
            "--slave-net-timeout=5",
        ])
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

pub(super) fn private(file: &Path) {
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}
