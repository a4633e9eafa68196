use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

#[cfg(not(feature = "apps"))]
use crate::cli::Exit;

/// Serve the images that `fetch` downloads, for any client of yours, until Ctrl-C.
///
/// `https://ADDR/SIZE-NUMBER` is an image of SIZE bytes, up to 16 MiB, for any NUMBER. It never changes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap origin --addr 127.0.0.1:8443\n  \
    curl -k -o image https://127.0.0.1:8443/65536-7\n  \
    rtswap origin --addr 127.0.0.1:8443 --root root.pem\n  \
    curl --cacert root.pem -o image https://127.0.0.1:8443/65536-7")]
pub(super) struct Args {
    /// Where to listen; port 0 takes a free one, which is printed.
    #[arg(short, long, default_value = "127.0.0.1:0")]
    addr: SocketAddr,
    /// Where to write the certificate of the root that vouches for the server, as PEM; otherwise to a
    /// file that goes when the server does.
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
}

#[cfg(not(feature = "apps"))]
pub(super) fn run(_: &Args) -> Result<ExitCode> {
    let why = "`rtswap origin` is not built in: build rtswap with `--features apps`";
    Err(Exit::Usage(why.to_owned()).into())
}

#[cfg(feature = "apps")]
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    use std::io::{self, Write as _};

    use anyhow::Context as _;
    use rtswap_service::origin::{Options, Origin};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    use crate::cli::signals;

    signals::raise_descriptor_limit();
    // Before there is a file to take away.
    let mut end = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot wait for signals")?;
    let options = Options { addr: args.addr, root: args.root.clone(), ..Options::default() };
    let origin = Origin::start(&options)?;
    // A closed standard output does not end the server.
    let _ = writeln!(
        io::stdout(),
        "images are at {url}/SIZE-NUMBER, as in {url}/65536-7\nthe root certificate is {}",
        origin.root().display(),
        url = origin.url(),
    );
    end.forever().next();
    Ok(ExitCode::SUCCESS)
}
