//! A short text that is put together on the stack.

use std::fmt::Write;
use std::net::IpAddr;

/// Holds what fits on the stack; only longer text allocates.
pub(crate) struct Scratch {
    stack: [u8; 128],
    used: usize,
    heap: Vec<u8>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self {
            stack: [0; 128],
            used: 0,
            heap: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let end = self.used + bytes.len();
        if self.heap.is_empty()
            && let Some(room) = self.stack.get_mut(self.used..end)
        {
            room.copy_from_slice(bytes);
            self.used = end;
            return;
        }
        if self.heap.is_empty() {
            self.heap.extend_from_slice(&self.stack[..self.used]);
        }
        self.heap.extend_from_slice(bytes);
    }

    /// In its shortest form; IPv6 that maps IPv4 as IPv4.
    pub(crate) fn push_address(&mut self, address: IpAddr) {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                // Faster than its Display, which pads.
                for (index, part) in address.octets().into_iter().enumerate() {
                    if index > 0 {
                        self.push(b".");
                    }
                    self.push(crate::octets::decimal(part.into(), &mut [0; 20]));
                }
            }
            // Writing to it does not fail.
            IpAddr::V6(address) => drop(write!(self, "{address}")),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        if self.heap.is_empty() {
            &self.stack[..self.used]
        } else {
            &self.heap
        }
    }
}

impl Write for Scratch {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_goes_on_elsewhere() {
        for piece in 1..20 {
            let mut scratch = Scratch::new();
            let mut expected = Vec::new();
            for round in 0..60_u8 {
                let bytes = vec![round; piece];
                scratch.push(&bytes);
                expected.extend_from_slice(&bytes);
                assert_eq!(scratch.as_bytes(), expected);
            }
        }
    }

    #[test]
    fn addresses_have_one_form() {
        for (address, expected) in [
            ("127.0.0.1", "127.0.0.1"),
            ("255.10.0.249", "255.10.0.249"),
            ("::ffff:10.0.0.9", "10.0.0.9"),
            ("2001:DB8::0:1", "2001:db8::1"),
        ] {
            let mut scratch = Scratch::new();
            scratch.push_address(address.parse().unwrap());
            assert_eq!(scratch.as_bytes(), expected.as_bytes());
        }
    }
}
