//! The files of a whole minato in a temporary folder.
//!
//! Not here: the process that reads them (`process`).

use crate::demo::load::Page;
use anyhow::Context;
use bytes::Bytes;
use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;

/// Python's own web server. Its defaults would spoil the figures: five waiting connections (a burst then waits a
/// second for the next SYN) and Nagle's algorithm (44 ms on each kept connection). These and HTTP/1.1 are set here, nothing else.
const PYTHON: &str = r#"import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
SimpleHTTPRequestHandler.protocol_version = "HTTP/1.1"
SimpleHTTPRequestHandler.disable_nagle_algorithm = True
ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), partial(SimpleHTTPRequestHandler, directory=sys.argv[2])).serve_forever()
"#;

/// Whether the service files ask for checks and retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// Defaults.
    Full,
    /// `health = "off"`, `retries = 0`.
    None,
}

/// What `orders` also answers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shop {
    Closed,
    /// `/shop/orders/5` is order 5 too.
    Open,
}

/// The folder.
#[derive(Debug)]
pub(crate) struct Site {
    folder: TempDir,
    python: String,
    program: PathBuf,
}

impl Site {
    /// Makes the folder; nothing runs yet. `Err` is one sentence where an address is taken or python3 is missing.
    pub(crate) fn create(listen: SocketAddr, admin: SocketAddr) -> anyhow::Result<Self> {
        for (address, flag) in [(listen, "--listen"), (admin, "--admin")] {
            free(address, flag)?;
        }
        let site = Self {
            folder: tempfile::Builder::new().prefix("minato-demo-").tempdir()?,
            python: python()?,
            program: std::env::current_exe().context("where is minato itself?")?,
        };
        fs::create_dir(site.path("services"))?;
        fs::create_dir(site.path("www"))?;
        for (page, name) in site.pages().iter().zip(page_names()) {
            fs::write(site.path("www").join(name), &page.body)?;
        }
        let settings = format!(
            "# The demo's minato, made for one run.\nservices = \"services/\"\n\n[store]\npath = {}\n\n[gateway]\nhttp = [\"{listen}\"]\n\n[admin]\nlisten = \"{admin}\"\n",
            quoted(&site.path("data")),
        );
        fs::write(site.settings(), settings)?;
        site.write(Care::Full)?;
        Ok(site)
    }

    /// The settings file.
    pub(crate) fn settings(&self) -> PathBuf {
        self.path("minato.toml")
    }

    /// The file of a service.
    pub(crate) fn service_file(&self, name: &str) -> PathBuf {
        self.path("services").join(format!("{name}.toml"))
    }

    /// Everything that minato printed.
    pub(crate) fn log(&self) -> PathBuf {
        self.path("minato.log")
    }

    /// Where `orders` writes.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.path("ledger.txt")
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// minato itself.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What `pages` serves: sizes from 200 bytes to 64 KiB.
    pub(crate) fn pages(&self) -> Vec<Page> {
        let sizes = [200, 1_000, 4_000, 16_000, 32_000, 65_536];
        let page = |(name, size): (String, usize)| {
            let mut text = format!("{name} of {size} bytes\n");
            for line in 0.. {
                if text.len() >= size {
                    break;
                }
                let _ = writeln!(text, "{name} line {line}");
            }
            text.truncate(size);
            Page {
                path: format!("/pages/{name}"),
                body: Bytes::from(text),
            }
        };
        page_names().into_iter().zip(sizes).map(page).collect()
    }

    /// Writes both service files, each at once (a new file renamed over the old).
    pub(crate) fn write(&self, care: Care) -> anyhow::Result<()> {
        let argv = [&self.python, "-u", "-c", PYTHON, "{port}"].map(str::to_owned);
        let www = self.path("www").display().to_string();
        let argv: Vec<String> = argv.into_iter().chain([www]).collect();
        let pages = format!(
            "# Python's own web server.\ncommand = {}\nreplicas = 2\n{}\n[[route]]\nmatch = \"*/pages\"\nstrip = true\n",
            list(&argv),
            care.lines("/"),
        );
        self.replace("pages", &pages)?;
        self.replace("orders", &self.orders(care, Shop::Closed))
    }

    /// The text of `services/orders.toml`.
    pub(crate) fn orders(&self, care: Care, shop: Shop) -> String {
        let program = self.program.display().to_string();
        let ledger = self.ledger().display().to_string();
        let argv = [
            &program,
            "demo-service",
            "--ledger",
            &ledger,
            "--name",
            "orders",
        ]
        .map(str::to_owned);
        let shop = match shop {
            Shop::Closed => "",
            Shop::Open => "\n[[route]]\nmatch = \"*/shop\"\nstrip = true\n",
        };
        format!(
            "# Takes numbered orders.\ncommand = {}\nreplicas = 2\nroutes = [\"*/orders\"]\n{}{shop}",
            list(&argv),
            care.lines("/healthz"),
        )
    }

    /// Renames a new file over the service's.
    pub(crate) fn replace(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let file = self.service_file(name);
        let new = file.with_extension("tmp");
        fs::write(&new, text)?;
        fs::rename(&new, &file).with_context(|| format!("cannot write {}", file.display()))
    }

    /// The last lines that minato printed.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// Leaves the folder for a person to look at; returns where it is.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }
}

impl Care {
    fn lines(self, path: &str) -> String {
        match self {
            Self::Full => format!("health = {{ path = \"{path}\" }}\n"),
            Self::None => "health = \"off\"\nretries = 0\n".to_owned(),
        }
    }
}

fn page_names() -> Vec<String> {
    (0..6).map(|it| format!("page-{it}.txt")).collect()
}

fn free(address: SocketAddr, flag: &str) -> anyhow::Result<()> {
    TcpListener::bind(address).map(drop).map_err(|error| {
        let next = SocketAddr::new(address.ip(), address.port().saturating_add(1));
        anyhow::anyhow!(
            "{address} cannot be used ({error}): stop what uses it, or choose another address with `{flag} {next}`"
        )
    })
}

/// The interpreter itself: a version manager's shim would be a process more between minato and it.
fn python() -> anyhow::Result<String> {
    let missing = "python3 is needed for the demo's service `pages`: `apt-get install python3`, or `make demo`, which asks and installs it";
    let asked = std::process::Command::new("python3")
        .args(["-c", "import http.server, sys; print(sys.executable)"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .context(missing)?;
    let path = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    anyhow::ensure!(
        asked.status.success() && Path::new(&path).is_file(),
        missing
    );
    Ok(path)
}

fn quoted(path: &Path) -> String {
    quote(&path.display().to_string())
}

/// A basic TOML string.
fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            letter if letter.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

fn list(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|it| quote(it)).collect();
    format!("[{}]", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn every_file_that_the_demo_writes_is_valid() {
        let site = Site::create(any(), any()).unwrap();
        let name = minato_config::ServiceName::parse("orders").unwrap();
        for care in [Care::Full, Care::None] {
            for shop in [Shop::Closed, Shop::Open] {
                let text = site.orders(care, shop);
                let parsed =
                    minato_config::parse_service(Path::new("orders.toml"), &name, &text).unwrap();
                assert_eq!(parsed.routes.len(), 1 + usize::from(shop == Shop::Open));
            }
            site.write(care).unwrap();
            let text = fs::read_to_string(site.service_file("pages")).unwrap();
            let parsed = minato_config::parse_service(Path::new("pages.toml"), &name, &text);
            assert_eq!(parsed.unwrap().retries, u8::from(care == Care::Full));
        }
    }

    #[test]
    fn a_taken_address_is_one_sentence_with_the_flag() {
        let taken = TcpListener::bind(any()).unwrap();
        let address = taken.local_addr().unwrap();
        let error = Site::create(address, any()).unwrap_err().to_string();
        assert!(error.contains("--listen 127.0.0.1:"), "{error}");
        assert!(error.starts_with(&address.to_string()), "{error}");
    }
}
