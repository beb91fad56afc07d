//! The admin API on a port of its own, in front of a site with two services.

use super::client::{Answer, get, post};
use super::view::{FakeView, traffic};
use super::{Site, command, folder, name};
use minato_config::{
    Backend, Generation, Intent, NodeId, Service, SiteId, Slot, SlotIndex, Timestamp,
};
use minato_config_files::Folder;
use minato_control_server::api::{ApiError, ChangeAnswer};
use minato_control_server::{About, Admin, serve};
use minato_control_store::keys::Key;
use minato_health::Verdict;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub struct Api {
    pub site: Site,
    pub view: Arc<FakeView>,
    pub folder: watch::Sender<Arc<Folder>>,
    pub at: SocketAddr,
    pub task: JoinHandle<std::io::Result<()>>,
}

impl Api {
    /// With a service `library` of two instances, of which one is up, and `fixed` of one address.
    pub async fn start() -> Self {
        let site = Site::new();
        let library = command("library", 2);
        let fixed = Service {
            backend: Backend::Endpoints(vec![([10, 0, 0, 7], 80).into()]),
            replicas: 1,
            ..command("fixed", 1)
        };
        site.put_node().await;
        site.put_service(&library).await;
        site.put_service(&fixed).await;
        let generation = Generation { era: 0, counter: 1 };
        for n in 0..2 {
            let slot = Slot {
                v: 1,
                node: super::node(),
                generation,
                digest: digest(&library),
                restart: None,
                removed: false,
            };
            let key = Key::Slot(name("library"), SlotIndex(n));
            site.put(&key, &slot).await;
        }
        let library_name = name("library");
        site.put_instance(&library_name, 0, generation, Verdict::Up, "")
            .await;
        let evil = "body: <script>alert(1)</script>";
        site.put_instance(&library_name, 1, generation, Verdict::Down, evil)
            .await;

        let view = Arc::new(FakeView::default());
        *view.traffic.lock().unwrap() = vec![traffic("library", false, 3)];
        let (change, files) = watch::channel(folder(&[library, fixed]));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let about = About {
            site: SiteId::parse("tokyo").unwrap(),
            node: NodeId::parse("one").unwrap(),
            version: "0.1.0".to_owned(),
            pid: std::process::id(),
            since: Timestamp(1),
            listeners: vec![([127, 0, 0, 1], 8080).into()],
            admin: at,
            folder: "services".into(),
            store: "store.redb".into(),
        };
        let admin = Arc::new(Admin {
            about,
            store: site.store.clone(),
            guard: None,
            keys: site.keys.clone(),
            journal: site.journal.clone(),
            events: site.events.clone(),
            folder: files,
            view: view.clone(),
            peers: None,
            certificates: None,
            quiet: std::time::Duration::from_secs(120),
            copies: None,
        });
        let task = tokio::spawn(serve(listener, admin, site.stop.subscribe()));
        Self {
            site,
            view,
            folder: change,
            at,
            task,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        get(self.at, path).await
    }

    pub async fn post(&self, path: &str, body: &str) -> Answer {
        post(self.at, path, body).await
    }

    pub async fn change(&self, path: &str, body: &str) -> ChangeAnswer {
        let answer = self.post(path, body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    pub async fn intent(&self) -> Intent {
        let world = self.site.world().await.world;
        world.intents[&name("library")].value.clone()
    }
}

fn digest(service: &Service) -> String {
    match &service.backend {
        Backend::Command(it) => it.digest(),
        Backend::Endpoints(_) => String::new(),
    }
}

#[track_caller]
pub fn refused(answer: &Answer, status: u16, words: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    let error: ApiError = answer.json();
    assert!(error.error.contains(words), "{error:?}");
}
