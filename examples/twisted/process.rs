//! The first listing of Twisted's guide to processes: `wc` counts the verses of a song, and every callback prints a line.
//!
//! Run:    cargo run --example process
//! Expect: "connection_made!", what is received and what is closed, "I saw 40 lines", and finally "quitting".

use torsade::ProcessEnd;
use torsade::prelude::*;

const VERSE: &str = "Aleph-null bottles of beer on the wall,\nAleph-null bottles of beer,\n\
                     Take one down and pass it around,\nAleph-null bottles of beer on the wall.\n";

#[derive(Default)]
struct Verses {
    data: String,
}

impl ProcessProtocol for Verses {
    fn connection_made(&mut self, process: &Process) -> Result {
        println!("connection_made!");
        process.write(VERSE.repeat(10));
        process.close_stdin();
        Ok(())
    }

    fn out_received(&mut self, _process: &Process, data: &[u8]) -> Result {
        println!("out_received! with {} bytes", data.len());
        self.data.push_str(std::str::from_utf8(data)?);
        Ok(())
    }

    fn err_received(&mut self, _process: &Process, data: &[u8]) -> Result {
        println!("err_received! with {} bytes", data.len());
        Ok(())
    }

    fn in_connection_lost(&mut self, _process: &Process) -> Result {
        println!("in_connection_lost! stdin is closed (we did it)");
        Ok(())
    }

    fn out_connection_lost(&mut self, _process: &Process) -> Result {
        println!("out_connection_lost! The child has closed its stdout");
        println!("I saw {} lines", self.data.split_whitespace().next().unwrap_or("no"));
        Ok(())
    }

    fn err_connection_lost(&mut self, _process: &Process) -> Result {
        println!("err_connection_lost! The child has closed its stderr");
        Ok(())
    }

    fn process_exited(&mut self, _process: &Process, end: ProcessEnd) -> Result {
        println!("process_exited: it {end}");
        Ok(())
    }

    fn process_ended(&mut self, process: &Process, end: ProcessEnd) -> Result {
        println!("process_ended: it {end}\nquitting");
        Ok(process.reactor().stop()?)
    }
}

fn main() -> Result {
    env_logger::init();
    let reactor = Reactor::new()?;
    reactor.spawn_process(Verses::default(), Command::new("wc"))?;
    reactor.run()
}
