//! Which streams there are in each configuration, one after the other on the same thread.

use rtswap_runtime::socket::{self, Share};
use rtswap_runtime::{Config, Net, Polled, Runtime, Streams, TcpListener, TcpStream};
use rtswap_tokio_uring::TokioUring;

#[test]
fn streams_are_polled_as_about_says() {
    let configurations =
        [TokioUring::default(), TokioUring::bridge(), TokioUring::net(), TokioUring::coop()];
    for runtime in configurations {
        if let Err(error) = runtime.available() {
            println!("not tested here: {error}");
            continue;
        }
        let bridged = runtime.about().streams == Streams::Bridged;
        let socket = socket::listen("127.0.0.1:0".parse().unwrap(), Share::No).unwrap();
        let addr = socket.local_addr().unwrap();
        let polled = async {
            let mut listener = TokioUring::listen(socket).unwrap();
            let connected = TokioUring::connect(addr).await.unwrap();
            let (accepted, _) = listener.accept().await.unwrap();
            [connected, accepted].map(|stream| matches!(stream.into_poll(), Polled::Bridged(_)))
        };
        let polled = runtime.block_on(&Config::default(), polled).unwrap();
        assert_eq!(polled, [bridged; 2], "{runtime:?}");
    }
}
