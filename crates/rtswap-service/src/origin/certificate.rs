//! A root that nobody trusts, and a certificate of its for this machine.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::server::NoServerSessionStorage;

/// What a server needs, and what its clients may trust.
pub(super) struct Made {
    pub tls: ServerConfig,
    pub root_pem: String,
}

/// Makes both, anew each time: there is no key to keep.
pub(super) fn make(addr: IpAddr) -> Result<Made, Error> {
    let key = KeyPair::generate()?;
    // Roots of one name would be taken for each other, and the signature be called bad.
    let id = key
        .public_key_raw()
        .iter()
        .rev()
        .take(4)
        .fold(0, |id: u32, byte| id << 8 | u32::from(*byte));
    let mut root = CertificateParams::new(Vec::new())?;
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name.push(DnType::CommonName, format!("rtswap root {id:08x}"));
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let root = CertifiedIssuer::self_signed(root, key)?;

    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    if !names.contains(&addr.to_string()) {
        names.push(addr.to_string());
    }
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name.push(DnType::CommonName, "rtswap origin");
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // OpenSSL in its strict mode, which is Python's from 3.13 on, asks for it.
    leaf.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let leaf = leaf.signed_by(&key, &root)?;

    let mut tls = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key.into())?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    Ok(Made { tls, root_pem: root.pem() })
}

/// Of either library.
#[derive(Debug)]
pub(super) enum Error {
    Certificate(rcgen::Error),
    Tls(rustls::Error),
}

impl From<rcgen::Error> for Error {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error)
    }
}

impl From<rustls::Error> for Error {
    fn from(error: rustls::Error) -> Self {
        Self::Tls(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
        }
    }
}
