//! A root certificate for this origin alone, and a certificate for this machine that it signs.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::server::NoServerSessionStorage;

/// The server's certificate and key, and the root certificate that clients may trust.
pub(super) struct Certificate {
    pub tls: ServerConfig,
    pub root_pem: String,
}

/// Creates both with new keys, so that no key has to be stored.
pub(super) fn create(addr: IpAddr) -> Result<Certificate, Box<dyn Error + Send + Sync>> {
    let key = KeyPair::generate()?;
    // Clients look up a root by its name: two roots of one name would be confused, and the signature rejected.
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
    // Required by OpenSSL in its strict mode, which is Python's default since 3.13.
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
    Ok(Certificate { tls, root_pem: root.pem() })
}
