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
