//! What the containers of these tests run: one static binary in an image of nothing else. Built by `stage`, not by cargo.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    match what.as_str() {
        "serve" => serve(),
        "sleep" => {
            println!("ready");
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        "fail" => {
            println!("farewell");
            std::process::exit(3);
        }
        // A line each 10 ms: `line 0`, `line 1`, ...
        "talk" => {
            for n in 0_u64.. {
                println!("line {n}");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        other => {
            eprintln!("no such thing: {other}");
            std::process::exit(2);
        }
    }
}

fn serve() {
    let port: u16 = std::env::var("PORT").unwrap().parse().unwrap();
    let listener = TcpListener::bind(("0.0.0.0", port)).unwrap();
    println!("listens on {port}");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || answer(stream));
    }
}

/// `/`, `/page`, `/env/NAME`, `/file/PATH`, `/eat/MIB`, `/burn/MS`, `/exit/STATUS`; `/orders/N` adds a line to the file that LEDGER
/// names. Each connection one request.
fn answer(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    if reader.read_line(&mut line).is_err() {
        return;
    }
    let mut length = 0;
    loop {
        let mut head = String::new();
        match reader.read_line(&mut head) {
            Ok(n) if n > 2 => {}
            _ => break,
        }
        if let Some(it) = head.to_ascii_lowercase().strip_prefix("content-length:") {
            length = it.trim().parse().unwrap();
        }
    }
    if reader.read_exact(&mut vec![0; length]).is_err() {
        return;
    }
    let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
    let (what, rest) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    let body = match what {
        "env" => std::env::var(rest).unwrap_or_else(|_| "unset".into()),
        "file" => {
            let mut text = String::new();
            match std::fs::File::open(format!("/{rest}")).and_then(|mut it| it.read_to_string(&mut text)) {
                Ok(_) => text,
                Err(error) => error.to_string(),
            }
        }
        "write" => match std::fs::write(format!("/{rest}"), "written") {
            Ok(()) => "written".into(),
            Err(error) => error.to_string(),
        },
        "page" => "the page".into(),
        "orders" => {
            let ledger = std::env::var("LEDGER").unwrap();
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open(ledger).unwrap();
            file.write_all(format!("{rest} {}\n", std::process::id()).as_bytes()).unwrap();
            rest.into()
        }
        "eat" => {
            let bytes = vec![7_u8; rest.parse::<usize>().unwrap() << 20];
            let body = format!("{} eaten", bytes.len());
            std::mem::forget(bytes);
            body
        }
        // A processor's work.
        "burn" => {
            let end = std::time::Instant::now() + Duration::from_millis(rest.parse().unwrap());
            let mut turns = 0_u64;
            while std::time::Instant::now() < end {
                turns = std::hint::black_box(turns + 1);
            }
            "burned".into()
        }
        "exit" => std::process::exit(rest.parse().unwrap()),
        _ => format!("hello {}", std::env::var("VERSION").unwrap_or_default()),
    };
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}
