//! A process between the old one and the new, so that the new one is not the old one's child for longer than needed.
//!
//! Service managers see only the ends of their own children. When this process ends, the new one becomes the child of
//! whoever looks after orphans: systemd, where systemd started minato.

use super::draining::Left;
use super::message::{Message, encode};
use anyhow::Context as _;
use rustix::fd::AsFd as _;
use rustix::io::IoSlice;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::ffi::OsString;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode};

/// The subcommand.
pub(crate) const COMMAND: &str = "launch";
/// Added to the number of a signal that ended the new process.
pub(super) const SIGNALLED: u8 = 128;

/// `minato launch PROGRAM ARGUMENT...`, with the handover as standard input. Ends as the program does.
pub(crate) fn run(mut words: impl Iterator<Item = OsString>) -> ExitCode {
    let ended = words
        .next()
        .context("there is nothing to launch")
        .and_then(|program| launch(&program, words));
    match ended {
        Ok(code) => code,
        Err(error) => {
            let why = format!("{error:#}");
            if say(&Message::Failed { why: why.clone() }, None).is_err() {
                eprintln!("minato: {why}");
            }
            ExitCode::FAILURE
        }
    }
}

fn launch(program: &OsString, words: impl Iterator<Item = OsString>) -> anyhow::Result<ExitCode> {
    let mut child = Command::new(program)
        .args(words)
        .spawn()
        .with_context(|| format!("{} cannot be started", program.display()))?;
    let pid = child.id();
    // Not waited for yet, so the id is its own.
    let told = Left::of(pid)
        .context("the new process cannot be followed")
        .and_then(|it| say(&Message::Started { pid }, Some(&it)));
    if let Err(error) = told {
        let _ = child.kill();
        return Err(error);
    }
    // The socket is for the two others.
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let status = child.wait()?;
    let signal = status.signal().and_then(|it| u8::try_from(it).ok());
    let code = status.code().and_then(|it| u8::try_from(it).ok());
    let signalled = signal.map(|it| it.saturating_add(SIGNALLED));
    Ok(ExitCode::from(code.or(signalled).unwrap_or(1)))
}

fn say(message: &Message, process: Option<&Left>) -> anyhow::Result<()> {
    let bytes = encode(message)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<_> = process.iter().map(|it| it.handle().as_fd()).collect();
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    let socket = std::io::stdin();
    let (parts, flags) = ([IoSlice::new(&bytes)], SendFlags::NOSIGNAL);
    sendmsg(socket.as_fd(), &parts, &mut control, flags)?;
    Ok(())
}
