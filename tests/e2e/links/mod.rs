//! Two sites with the real binary, each with folder, store and entrance of its own, and links between them.

mod caller;
mod checked;
mod database;
mod gateways;
mod gather;
mod line;
mod observers;
mod refused;
mod served;
mod streams;
mod under_load;
mod unserved;

use crate::support::clock::until;
use crate::support::http::{Answer, get};
use crate::support::origin::{Origin, ok};
use crate::support::site::Site;
use crate::support::tls::Authority;
use std::fs;
use std::net::SocketAddr;

/// One site and the instance that it has.
pub(crate) struct Cloud {
    pub(crate) name: &'static str,
    pub(crate) site: Site,
}

/// Where a site's gateway lets links in.
pub(crate) fn door(site: &Site) -> SocketAddr {
    site.ports.own(3)
}

impl Cloud {
    /// Files only; nothing runs yet. Its certificate is of `authority`, for site `certified`.
    pub(crate) fn new(name: &'static str, authority: &Authority, certified: &str) -> Self {
        let site = Site::new();
        authority.write(&site.path("authority.crt"));
        let own = format!("here.{certified}.minato.internal");
        let pem = authority.sign(&[&own], crate::support::tls::Time::Now);
        pem.write(site.path("").as_path(), "link");
        let text = fs::read_to_string(site.settings()).unwrap();
        fs::write(site.settings(), format!("site = \"{name}\"\n{text}")).unwrap();
        Self { name, site }
    }

    /// Makes `other` a peer.
    pub(crate) fn knows(&self, other: &Self) {
        self.knows_at(&[(other.name, door(&other.site))]);
    }

    /// Makes these peers, each by one address.
    pub(crate) fn knows_at(&self, others: &[(&str, SocketAddr)]) {
        let peers: String = others
            .iter()
            .map(|(name, address)| format!("[sites.{name}]\ngateways = [\"{address}\"]\n"))
            .collect();
        let more = format!(
            "{peers}[link]\nlisten = [\"{}\"]\nauthority = \"authority.crt\"\ncertificate = \"link.crt\"\nkey = \"link.key\"\n",
            door(&self.site)
        );
        let text = fs::read_to_string(self.site.settings()).unwrap();
        fs::write(self.site.settings(), text + &more).unwrap();
    }

    /// An instance that answers with the name of its site and what it was asked.
    pub(crate) fn instance(&self) -> Origin {
        let name = self.name;
        Origin::start(move |head, wire| {
            let heads: Vec<String> = head.0.iter().map(|it| it.to_lowercase()).collect();
            ok(wire, format!("{name}\n{}", heads.join("\n")).as_bytes())
        })
    }

    /// A service `shared` of that instance, tokyo first.
    pub(crate) fn shares(&self, instance: &Origin, more: &str) {
        let text = format!("sites = [\"tokyo\", \"osaka\"]\n{more}");
        let health = "health = { kind = \"tcp\", interval = \"1s\", fast = \"200ms\", timeout = \"900ms\" }\n";
        let file = format!(
            "endpoints = [\"{}\"]\nroutes = [\"*\"]\n{health}{text}",
            instance.address
        );
        self.site.write("shared", &file);
    }

    pub(crate) fn get(&self) -> std::io::Result<Answer> {
        get(self.site.gateway(), "e2e.test", "/")
    }

    /// Waits until this entrance answers by an instance of `site`; the whole answer.
    #[track_caller]
    pub(crate) fn until_served_by(&self, site: &str) -> String {
        let mut last = String::new();
        until(&format!("{} to be served by {site}", self.name), || {
            let answer = self.get();
            last = format!("{answer:?}");
            let text = answer.ok().filter(|it| it.status == 200)?.text();
            (text.lines().next() == Some(site)).then_some(text)
        })
    }

    /// Waits for an event whose text has all `words`.
    #[track_caller]
    pub(crate) fn until_told(&self, words: &[&str]) -> String {
        until(&format!("an event of {} with {words:?}", self.name), || {
            let events = self.site.events().into_iter();
            let mut texts = events.map(|it| it.message);
            texts.find(|it| words.iter().all(|word| it.contains(word)))
        })
    }
}

/// Tokyo and osaka with an instance each, of which both run.
pub(crate) struct Pair {
    pub(crate) authority: Authority,
    pub(crate) tokyo: Cloud,
    pub(crate) osaka: Cloud,
    /// Dropped, its instances refuse.
    pub(crate) of_tokyo: Option<Origin>,
    pub(crate) of_osaka: Option<Origin>,
}

impl Pair {
    #[track_caller]
    pub(crate) fn start(more: &str) -> Self {
        let mut pair = Self::stopped(more);
        pair.tokyo.site.start();
        pair.osaka.site.start();
        pair.tokyo.until_told(&["link to osaka is up"]);
        pair.osaka.until_told(&["link to tokyo is up"]);
        pair
    }

    /// Files only; nothing runs yet.
    pub(crate) fn stopped(more: &str) -> Self {
        let authority = Authority::new("sites");
        let tokyo = Cloud::new("tokyo", &authority, "tokyo");
        let osaka = Cloud::new("osaka", &authority, "osaka");
        tokyo.knows(&osaka);
        osaka.knows(&tokyo);
        let (of_tokyo, of_osaka) = (tokyo.instance(), osaka.instance());
        tokyo.shares(&of_tokyo, more);
        osaka.shares(&of_osaka, more);
        Self {
            authority,
            tokyo,
            osaka,
            of_tokyo: Some(of_tokyo),
            of_osaka: Some(of_osaka),
        }
    }
}
