//! TLS towards Redis: whom to trust, and who we are.

use std::{path::PathBuf, sync::Arc};

use serde::Serialize;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};

/// The files, in PEM, that TLS towards Redis needs.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct TlsFiles {
    /// Who may have signed the server's certificate; without it, whom this machine trusts.
    #[serde(rename = "redis-ca")]
    pub ca: Option<PathBuf>,
    /// The certificate to show, with those between it and its CA.
    #[serde(rename = "redis-cert")]
    pub cert: Option<PathBuf>,
    /// The key of that certificate.
    #[serde(rename = "redis-key")]
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    pub(super) const fn is_set(&self) -> bool {
        self.ca.is_some() || self.cert.is_some() || self.key.is_some()
    }

    /// Reads the files.
    ///
    /// # Errors
    /// One line that names the file.
    pub(crate) fn connector(&self) -> Result<TlsConnector, String> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(path) => {
                for certificate in certificates(path)? {
                    let added = roots.add(certificate);
                    added.map_err(|error| format!("{}: {error}", path.display()))?;
                }
            }
            None => {
                // A certificate of the system's that cannot be read is one that nobody can use.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let config = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                let failed = |error| format!("{}: {error}", key.display());
                let chain = certificates(cert)?;
                let key = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| format!("{}: {error}", key.display()))?;
                builder.with_client_auth_cert(chain, key).map_err(failed)?
            }
            (None, None) => builder.with_no_client_auth(),
            _ => return Err("redis-cert and redis-key need each other".to_owned()),
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |error| format!("{}: {error}", path.display());
    let found = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let certificates: Vec<_> = found.collect::<Result<_, _>>().map_err(failed)?;
    match certificates.is_empty() {
        true => Err(format!("{}: there is no certificate in it", path.display())),
        false => Ok(certificates),
    }
}

/// What the server's certificate must name.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    let name = ServerName::try_from(host.to_owned());
    name.map_err(|_| format!("{host:?} is no name that a certificate could have"))
}
