//! The bench's other processes: this program again, as a hub, as the echo, as the client; and what they use of the
//! machine.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};

use crate::{
    load::{Job, Outcome},
    scene::{Hub, Scene},
};

/// The kernel's clock ticks a second in `/proc` (USER_HZ: 100 on every Linux that Rust runs on).
const TICKS_PER_S: f64 = 100.0;

/// A process that ends with its handle.
#[derive(Debug)]
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // What it holds is thrown away with its folder.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn spawn(role: &str, file: &Path, pipes: bool) -> anyhow::Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(role).arg(file);
        if pipes {
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        } else {
            command.stdin(Stdio::null());
        }
        command.spawn().with_context(|| format!("starting the {role}"))
    }

    /// Starts a hub.
    pub fn hub(scene: &Scene, hub: Hub) -> anyhow::Result<Self> {
        Ok(Self(Self::spawn("hub", &scene.config(hub), false)?))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let sent = Command::new("kill").args([format!("-{signal}"), self.id().to_string()]).status()?;
        anyhow::ensure!(sent.success(), "kill -{signal}");
        Ok(())
    }

    /// Stops it as an operator would, and waits until it has ended.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.signal("TERM")?;
        let status = self.0.wait()?;
        anyhow::ensure!(status.success(), "it has ended with {status}");
        Ok(())
    }

    /// Starts the echo.
    pub fn echo(scene: &Scene) -> anyhow::Result<Self> {
        Ok(Self(Self::spawn("echo", &scene.file(), false)?))
    }

    /// CPU time used so far, user and system, all threads, in seconds.
    pub fn cpu_s(&self) -> anyhow::Result<f64> {
        cpu_s(self.0.id())
    }

    /// Anonymous resident memory, in bytes.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

fn cpu_s(process: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field may hold blanks; after its bracket, utime and stime are the 12th and 13th (proc(5)).
    let (_, after) = stat.rsplit_once(')').context("no process name")?;
    let mut fields = after.split_ascii_whitespace().skip(11);
    let mut ticks = || anyhow::Ok(fields.next().context("too few fields")?.parse::<u64>()?);
    Ok((ticks()? + ticks()?) as f64 / TICKS_PER_S)
}

/// The load client: one job after the other.
#[derive(Debug)]
pub struct Client {
    process: Process,
    jobs: ChildStdin,
    outcomes: BufReader<ChildStdout>,
}

impl Client {
    /// Starts it.
    pub fn start(scene: &Scene) -> anyhow::Result<Self> {
        let mut child = Process::spawn("client", &scene.file(), true)?;
        let jobs = child.stdin.take().context("no stdin")?;
        let outcomes = BufReader::new(child.stdout.take().context("no stdout")?);
        Ok(Self { process: Process(child), jobs, outcomes })
    }

    /// Has it do one job.
    pub fn run(&mut self, job: &Job) -> anyhow::Result<Outcome> {
        writeln!(self.jobs, "{}", serde_json::to_string(job)?)?;
        let mut line = String::new();
        if self.outcomes.read_line(&mut line)? == 0 {
            bail!("the client has ended");
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// CPU time used so far, in seconds.
    pub fn cpu_s(&self) -> anyhow::Result<f64> {
        self.process.cpu_s()
    }
}

/// One value of a Prometheus page: of the first line that begins with `line`.
pub fn metric(at: SocketAddr, line: &str) -> anyhow::Result<f64> {
    metrics(at, [line]).map(|[value]| value)
}

/// Several values of one page, each of the first line that begins so.
pub fn metrics<const N: usize>(at: SocketAddr, lines: [&str; N]) -> anyhow::Result<[f64; N]> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    let mut values = [0.0; N];
    for (line, value) in lines.into_iter().zip(&mut values) {
        let found =
            page.lines().find_map(|text| text.strip_prefix(line)).with_context(|| format!("no metric {line}"))?;
        *value = found.trim().parse()?;
    }
    Ok(values)
}
