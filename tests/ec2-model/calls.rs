//! The calls that the model was asked, as JSON lines:
//! `{"time": 17e8, "seconds": 0.05, "service": "ec2", "action": "AllocateAddress", "status": 200}`.
//! `time` is when the call came, in seconds since 1970, `seconds` how long its answer took.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::time::SystemTime;

pub struct Calls(File);

impl Calls {
    /// Adds to a file, which is made when it is not there.
    pub fn to(path: &str) -> io::Result<Self> {
        OpenOptions::new().append(true).create(true).open(path).map(Self)
    }

    /// Adds a call that is about to be answered. A test that counts would count wrong without it,
    /// so what cannot be written ends the model.
    pub fn add(&mut self, came: SystemTime, service: &str, action: &str, status: u16) {
        let seconds = came.elapsed().unwrap_or_default().as_secs_f64();
        let time = came.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let call = serde_json::json!({
            "time": time, "seconds": seconds, "service": service, "action": action, "status": status,
        });
        if let Err(error) = self.0.write_all(format!("{call}\n").as_bytes()) {
            eprintln!("ec2-model: a call could not be written down: {error}");
            std::process::exit(1);
        }
    }
}
