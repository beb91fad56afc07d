//! Load for `make bench-peers`: one thread, one core, as little of it as possible, so that the proxy is the limit.
//!
//!     bench-load origin LISTEN FOLDER
//!     bench-load client to=ADDRESS path=/small connections=64 seconds=5 [rate=20000] [length=1024] [close] [upload=FILE] [tls|tls=full|tls=resumed]
//!
//! The origin serves the files of FOLDER, read once, and discards uploads. The client prints one line of JSON.

mod answer;
mod client;
mod connection;
mod origin;
mod poll;
mod report;
mod tls;

use client::Plan;

type Error = Box<dyn std::error::Error>;

fn run(arguments: &[String]) -> Result<(), Error> {
    match arguments {
        [word, listen, folder] if word == "origin" => origin::run(listen.parse()?, folder.as_ref()),
        [word, rest @ ..] if word == "client" => {
            println!("{}", client::run(&Plan::parse(rest)?)?);
            Ok(())
        }
        _ => Err(
            "usage: bench-load origin LISTEN FOLDER | bench-load client to=ADDRESS path=/PATH ..."
                .into(),
        ),
    }
}

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-load: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
