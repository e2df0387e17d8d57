//! Guests that leave each other notes, ported: who a guest is, its certificate says. The original is `original.py` beside it.
//!
//! Run:    cargo run --features tls --example make_keys, and cargo run --features tls --example port_guests 127.0.0.1:8130 keys anna ben
//! Try:    openssl s_client -quiet -crlf -connect 127.0.0.1:8130 -cert keys/anna.pem -key keys/anna.key
//! Expect: "Welcome, anna!", an answer to `who`, and in ben's window, whenever he comes, what `note ben TEXT` says.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use torsade::prelude::*;

/// One who is invited.
#[derive(Default)]
struct Invited {
    here: Option<LineTransport>,
    notes: Vec<Vec<u8>>,
}

struct Guest {
    invited: Rc<RefCell<BTreeMap<Vec<u8>, Invited>>>,
    name: Vec<u8>,
}

impl LineProtocol for Guest {
    fn handshake_completed(&mut self, transport: &LineTransport) -> Result {
        self.name = transport.peer_common_name().unwrap_or_default().into();
        let mut invited = self.invited.borrow_mut();
        let Some(own) = invited.get_mut(&self.name) else {
            transport.send_line([b"error: ", &self.name[..], b" is not invited"].concat());
            transport.lose_connection();
            return Ok(());
        };
        if let Some(earlier) = own.here.replace(transport.clone()) {
            earlier.send_line("You have come again.");
            earlier.lose_connection();
        }
        transport.send_line([b"Welcome, ", &self.name[..], b"!"].concat());
        own.notes.drain(..).for_each(|note| transport.send_line(note));
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        let words: Vec<_> = line.splitn(3, |byte| *byte == b' ').collect();
        match words[..] {
            [b"who", ..] => {
                let invited = self.invited.borrow();
                let here = invited.iter().filter(|(_, guest)| guest.here.is_some()).map(|(name, _)| &name[..]);
                transport.send_line([b"here: ", &here.collect::<Vec<_>>().join(&b' ')[..]].concat());
            }
            [b"note", guest, text] => self.note(transport, guest, [&self.name[..], b": ", text].concat()),
            [b"quit", ..] => {
                transport.send_line("Good bye.");
                transport.lose_connection();
                self.leave(transport);
            }
            _ => transport.send_line("error: say who, note GUEST TEXT, or quit"),
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, _reason: &Reason) -> Result {
        self.leave(transport);
        Ok(())
    }
}

impl Guest {
    fn note(&self, transport: &LineTransport, guest: &[u8], note: Vec<u8>) {
        match self.invited.borrow_mut().get_mut(guest) {
            Some(Invited { here: Some(guest), .. }) => guest.send_line(note),
            Some(Invited { here: None, notes }) if notes.len() < 3 => notes.push(note),
            _ => transport.send_line([b"error: no note can be left for ", guest].concat()),
        }
    }

    /// Unless another connection has come in its place.
    fn leave(&self, transport: &LineTransport) {
        let mut invited = self.invited.borrow_mut();
        invited.get_mut(&self.name).and_then(|own| own.here.take_if(|here| here.id() == transport.id()));
    }
}

/// What makes a connection's protocol.
pub fn factory(guests: &[String]) -> impl Factory + use<> {
    let invited = guests.iter().map(|guest| (guest.clone().into_bytes(), Invited::default()));
    let invited = Rc::new(RefCell::new(invited.collect::<BTreeMap<_, _>>()));
    move |_peer: Address| LineReceiver::new(Guest { invited: invited.clone(), name: Vec::new() })
}

/// How it speaks TLS: with those only whom the authority vouches for.
pub fn config(keys: &str) -> Result<TlsServerConfig> {
    let own = PrivateCertificate::from_pem_files(format!("{keys}/server.pem"), format!("{keys}/server.key"))?;
    let authority = TrustRoots::from_pem_file(format!("{keys}/ca.pem"))?;
    Ok(TlsServerConfig::builder().certificate(own).require_client_certificates(authority).build()?)
}

fn main() -> Result {
    env_logger::init();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [address, keys, guests @ ..] = &arguments[..] else { return Err("usage: port_guests ADDRESS KEYS GUEST...".into()) };
    let reactor = Reactor::new()?;
    let port = reactor.listen_tls(address, &config(keys)?, factory(guests))?;
    println!("listening on {}", port.address());
    reactor.run()
}
