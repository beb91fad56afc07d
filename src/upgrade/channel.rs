//! The socket between the old process and the new: messages, and descriptors beside them.

use super::message::{DESCRIPTORS, LARGEST, Message, decode, encode};
use anyhow::{Context as _, ensure};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::io::{IoSlice, IoSliceMut};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};
use std::io;
use std::mem::MaybeUninit;
use tokio::io::Interest;
use tokio::net::UnixStream;

const SPACE: usize = rustix::cmsg_space!(ScmRights(DESCRIPTORS));

/// One end.
#[derive(Debug)]
pub(super) struct Channel {
    /// In truth of whole messages, which only this file's calls know.
    socket: UnixStream,
}

impl Channel {
    /// This process's end, and the other's, which blocks until it is made a channel too.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self::new(ours)?, theirs))
    }

    /// Takes an end that was inherited.
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: UnixStream::from_std(socket)?,
        })
    }

    /// Sends one message whole.
    pub(super) async fn send(
        &self,
        message: &Message,
        descriptors: &[BorrowedFd<'_>],
    ) -> anyhow::Result<()> {
        let bytes = encode(message)?;
        ensure!(
            descriptors.len() <= DESCRIPTORS,
            "{} descriptors are too many to hand over; at most {DESCRIPTORS}",
            descriptors.len()
        );
        let sending = self.socket.async_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); SPACE];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let rights = SendAncillaryMessage::ScmRights(descriptors);
            if !descriptors.is_empty() && !control.push(rights) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let parts = [IoSlice::new(&bytes)];
            Ok(sendmsg(
                self.socket.as_fd(),
                &parts,
                &mut control,
                SendFlags::NOSIGNAL,
            )?)
        });
        sending.await.context("the other process is gone")?;
        Ok(())
    }

    /// The next message; `None` when the other process has ended or closed its end. Cancel-safe.
    pub(super) async fn receive(&self) -> anyhow::Result<Option<(Message, Vec<OwnedFd>)>> {
        let mut bytes = vec![0; LARGEST];
        let mut descriptors = Vec::new();
        let receiving = self.socket.async_io(Interest::READABLE, || {
            let mut space = [MaybeUninit::uninit(); SPACE];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut parts = [IoSliceMut::new(&mut bytes)];
            let received = recvmsg(
                self.socket.as_fd(),
                &mut parts,
                &mut control,
                RecvFlags::CMSG_CLOEXEC,
            )?;
            for it in control.drain() {
                if let RecvAncillaryMessage::ScmRights(all) = it {
                    descriptors.extend(all);
                }
            }
            Ok((received.bytes, received.flags))
        });
        let (length, flags) = match receiving.await {
            Ok(received) => received,
            // It ended with messages unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(error).context("the other process cannot be heard"),
        };
        if length == 0 {
            return Ok(None);
        }
        ensure!(
            !flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC),
            "a message was cut off; is the limit of open files reached?"
        );
        let message = decode(&bytes[..length]).context("the other process is not understood")?;
        Ok(Some((message, descriptors)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Seek as _, Write as _};

    #[tokio::test]
    async fn messages_keep_their_bounds_and_bring_open_descriptors() {
        let (old, theirs) = Channel::pair().unwrap();
        let new = Channel::new(theirs).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"inherited").unwrap();
        let ready = Message::Ready {
            pid: 3,
            version: "x".to_owned(),
        };
        old.send(&Message::Released, &[file.as_fd()]).await.unwrap();
        old.send(&ready, &[]).await.unwrap();
        let (first, descriptors) = new.receive().await.unwrap().unwrap();
        assert_eq!((first, descriptors.len()), (Message::Released, 1));
        for it in descriptors {
            let flags = rustix::io::fcntl_getfd(&it).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
            let (mut same, mut text) = (std::fs::File::from(it), String::new());
            same.rewind().unwrap();
            same.read_to_string(&mut text).unwrap();
            assert_eq!(text, "inherited");
        }
        let (second, none) = new.receive().await.unwrap().unwrap();
        assert_eq!((second, none.len()), (ready, 0));
        drop(old);
        assert_eq!(new.receive().await.unwrap().map(|it| it.0), None);
        assert!(new.send(&Message::Running, &[]).await.is_err());
    }

    #[tokio::test]
    async fn a_message_that_is_too_long_is_not_sent() {
        let (old, _theirs) = Channel::pair().unwrap();
        let why = "x".repeat(LARGEST);
        assert!(old.send(&Message::Failed { why }, &[]).await.is_err());
    }
}
