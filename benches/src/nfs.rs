//! nfs: whom the stack's NFS is measured against, on the kernel's TCP on the far side of a veth:
//! the crate nfs3_server with its file system in memory, and nfs-ganesha on a tmpfs. And the client
//! of all three: nfs-cp of libnfs.

use crate::Trouble;
use crate::lab::{Lab, Mode, Pinning, Service, TICK_MS};
use crate::stack::{self, Running};
use nfs3_server::memfs::{MemFs, MemFsConfig};
use nfs3_server::tcp::{NFSTcp, NFSTcpListener};
use std::fs::File;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The stack's service, with a file system in memory.
///
/// # Errors
/// As [`stack::services`].
pub fn ours(lab: &Lab, core: usize) -> Result<Running, Trouble> {
    stack::services(lab, Some(core), Mode::Sleeping, &["nfs=mem:size=2g"])
}

/// The crate's server, on one thread: what it takes is a future for each connection.
///
/// # Errors
/// As [`Lab::veth`].
pub fn nfs3_server(lab: &Lab, core: usize) -> Result<Service, Trouble> {
    let peer = lab.veth()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let files = MemFs::new(MemFsConfig::default()).map_err(|why| format!("{why:?}"))?;
    let at = server(lab).to_string();
    let listener = peer.run(|| runtime.block_on(NFSTcpListener::bind(&at, files)))??;
    Service::start("nfs3_server", Some(core), move |stop| {
        let _alive = peer;
        let mut serving = pin!(listener.handle_forever());
        while !stop.load(Ordering::Relaxed) {
            let tick = Duration::from_millis(TICK_MS);
            let ended = runtime.block_on(async { tokio::time::timeout(tick, &mut serving).await });
            if let Ok(ended) = ended {
                return Ok(ended?);
            }
        }
        Ok(())
    })
}

/// nfs-ganesha, processes of its own, until it is dropped.
#[derive(Debug)]
pub struct Ganesha {
    child: Child,
    folder: PathBuf,
    _alive: millstream_drivers::netns::Netns,
}

/// Starts it on a core, with a `/run` of its own: rpcbind and what is served are there.
///
/// # Errors
/// Where nfs-ganesha with its FSAL VFS, or rpcbind, is not installed.
pub fn ganesha(lab: &Lab, core: usize) -> Result<Ganesha, Trouble> {
    let peer = lab.veth()?;
    let folder = scratch("ganesha");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("ganesha.conf"), include_str!("nfs/ganesha.conf"))?;
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string(), "unshare", "-m", "-p", "-f", "--kill-child"]);
    command.args(["--mount-proc", "sh", "-c", include_str!("nfs/ganesha.sh")]);
    command.current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = peer.run(|| command.spawn())??;
    let mut server_of = Ganesha { child, folder, _alive: peer };
    let (at, late) = (server(lab), Instant::now() + Duration::from_secs(10));
    while lab.inside(|| Ok(TcpStream::connect(at).is_err()))? {
        let ended = server_of.child.try_wait()?.is_some();
        if ended || Instant::now() > late {
            return Err("nfs-ganesha does not start".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(server_of)
}

impl Drop for Ganesha {
    fn drop(&mut self) {
        // With the first process of its namespace all others end.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

/// nfs-cp on the client's core.
#[derive(Debug)]
pub struct Client {
    pinning: Pinning,
    /// In memory: what is written to the server.
    source: PathBuf,
    octets: u64,
    /// Where the server has its files: the rest of the URL before a name.
    export: &'static str,
    mount_port: u16,
}

impl Client {
    /// Of a file of so many octets; the server exports `export`, and answers MOUNT at a port.
    ///
    /// # Errors
    /// The kernel's, without room for the file.
    pub fn new(
        pinning: Pinning,
        octets: u64,
        export: &'static str,
        mount_port: u16,
    ) -> Result<Self, Trouble> {
        let source = scratch("source");
        let file = File::create(&source)?;
        let client = Self { pinning, source, octets, export, mount_port };
        let block: Vec<u8> = (0..BLOCK).map(|n| (n * 7 + n / 256) as u8).collect();
        for at in (0..octets).step_by(BLOCK) {
            let part = &block[..BLOCK.min((octets - at) as usize)];
            std::os::unix::fs::FileExt::write_all_at(&file, part, at)?;
        }
        Ok(client)
    }

    /// MiB a second to the server, and MiB a second back into memory.
    ///
    /// # Errors
    /// What nfs-cp says; what came back is not what was sent.
    pub fn run(&self, lab: &Lab) -> Result<[f64; 2], Trouble> {
        let (ip, port, mount) = (server(lab).ip(), server(lab).port(), self.mount_port);
        let export = self.export;
        let file = format!("nfs://{ip}{export}/a?nfsport={port}&mountport={mount}&uid=0&gid=0");
        let source = self.source.to_string_lossy().into_owned();
        let written = self.copy(lab, &source, &file)?;
        let back = scratch("back");
        let read = self.copy(lab, &file, &back.to_string_lossy());
        let same = read.is_ok() && same(&self.source, &back)?;
        let _gone = std::fs::remove_file(&back);
        if read.is_ok() && !same {
            return Err("the file came back changed".into());
        }
        Ok([written, read?])
    }

    fn copy(&self, lab: &Lab, from: &str, to: &str) -> Result<f64, Trouble> {
        let mut command = Command::new("taskset");
        command.args(["-c", &self.pinning.client().to_string(), "nfs-cp", from, to]);
        let start = Instant::now();
        let output = lab.inside(|| Ok(command.output()?))?;
        let seconds = start.elapsed().as_secs_f64();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() || !said.contains(&format!("copied {} bytes", self.octets)) {
            return Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(self.octets as f64 / f64::from(1 << 20) / seconds)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.source);
    }
}

fn same(one: &Path, other: &Path) -> Result<bool, Trouble> {
    let mut files = [File::open(one)?, File::open(other)?];
    let mut blocks = [vec![0; BLOCK], vec![0; BLOCK]];
    loop {
        let mut lens = [0; 2];
        for ((file, block), len) in files.iter_mut().zip(&mut blocks).zip(&mut lens) {
            *len = file.read(block)?;
        }
        if lens[0] != lens[1] || blocks[0][..lens[0]] != blocks[1][..lens[1]] {
            return Ok(false);
        }
        if lens[0] == 0 {
            return Ok(true);
        }
    }
}

/// Where every server answers.
fn server(lab: &Lab) -> SocketAddr {
    SocketAddr::new(lab.far().address(), NFS_PORT)
}

/// A name of this process alone in memory.
fn scratch(what: &str) -> PathBuf {
    PathBuf::from(format!("/dev/shm/millstream-{what}-{}", std::process::id()))
}

/// The well-known port.
pub const NFS_PORT: u16 = 2049;
const BLOCK: usize = 1 << 20;
