//! A line between two gateways that a test can cut and mend.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Forwards connections to `to` while it is whole; cut, it closes what is open and what comes.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    is_cut: AtomicBool,
    is_over: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Line {
    pub(super) fn to(to: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared: Arc<Shared> = Arc::default();
        let of_thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            for one in listener.incoming().map_while(Result::ok) {
                if of_thread.is_over.load(Ordering::SeqCst) {
                    return;
                }
                if of_thread.is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(other) = TcpStream::connect(to) else {
                    continue;
                };
                let ends = [&one, &other].map(|it| it.try_clone().unwrap());
                of_thread.open.lock().unwrap().extend(ends);
                pass(one.try_clone().unwrap(), other.try_clone().unwrap());
                pass(other, one);
            }
        });
        Self { address, shared }
    }

    pub(super) fn cut(&self) {
        self.shared.is_cut.store(true, Ordering::SeqCst);
        for it in self.shared.open.lock().unwrap().drain(..) {
            let _ = it.shutdown(std::net::Shutdown::Both);
        }
    }

    pub(super) fn mend(&self) {
        self.shared.is_cut.store(false, Ordering::SeqCst);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.cut();
        let _ = TcpStream::connect(self.address);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(n) = from.read(&mut buffer) {
            if n == 0 || to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
}
