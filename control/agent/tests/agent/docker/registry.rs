//! Debian's registry on port 5000 of loopback, in the namespaces of the test.

use super::stage::wait;
use std::fs;
use std::process::{Child, Command, Stdio};

/// Who may use it.
pub(super) enum Access {
    Anybody,
    /// These: what htpasswd prints.
    Users(Vec<u8>),
}

/// One registry; it ends with the test.
pub(super) struct Registry {
    child: Option<Child>,
    folder: tempfile::TempDir,
}

impl Registry {
    pub(super) async fn start(access: Access) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:5000\n",
            path("data").display()
        );
        if let Access::Users(users) = access {
            fs::write(path("users"), users).unwrap();
            let users = path("users");
            config.push_str(&format!(
                "auth:\n  htpasswd:\n    realm: test\n    path: {}\n",
                users.display()
            ));
        }
        fs::write(path("config.yml"), config).unwrap();
        let mut registry = Self {
            child: None,
            folder,
        };
        registry.begin().await;
        registry
    }

    /// Again, after it was killed.
    pub(super) async fn begin(&mut self) {
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(self.folder.path().join("config.yml"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        wait("the registry", || {
            std::net::TcpStream::connect("127.0.0.1:5000").is_ok()
        })
        .await;
    }

    /// SIGSTOP or SIGCONT: it takes connections and says nothing, and goes on.
    #[allow(dead_code, reason = "not every test program freezes it")]
    pub(super) fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(self.child.as_ref().unwrap());
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// From now on `to` means what `from` means, as after a push from elsewhere: no engine here hears of it.
    #[allow(dead_code, reason = "not every test program moves tags")]
    pub(super) fn retag(&self, name: &str, from: &str, to: &str) {
        const KIND: &str = "application/vnd.docker.distribution.manifest.v2+json";
        let at = |tag: &str| format!("/v2/{name}/manifests/{tag}");
        let got = call(&format!("GET {} HTTP/1.1\r\nAccept: {KIND}", at(from)), "");
        let (head, manifest) = got.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{got}");
        let length = manifest.len();
        let head = format!(
            "PUT {} HTTP/1.1\r\nContent-Type: {KIND}\r\nContent-Length: {length}",
            at(to)
        );
        let put = call(&head, manifest);
        assert!(put.starts_with("HTTP/1.1 201"), "{put}");
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One request, and its whole answer.
fn call(head: &str, body: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut line = std::net::TcpStream::connect("127.0.0.1:5000").unwrap();
    let request = format!("{head}\r\nHost: 127.0.0.1:5000\r\nConnection: close\r\n\r\n{body}");
    line.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    line.read_to_string(&mut answer).unwrap();
    answer
}
