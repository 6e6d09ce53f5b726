//! Certificates for one test, made by `openssl`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::Launch;

/// A CA, a certificate for `127.0.0.1` and one for a client, each with its key, in a folder that is
/// gone with this.
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// Makes them.
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let made = Self { folder };
        made.make("ca", "/CN=ca", None);
        made.make("server", "/CN=server", Some("subjectAltName=IP:127.0.0.1"));
        made.make("client", "/CN=client", Some("keyUsage=digitalSignature"));
        made
    }

    /// Where a file is: `ca.pem`, `server.pem`, `server.key`, `client.pem` or `client.key`.
    pub fn path(&self, name: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        path.to_str()
            .expect("a path of plain characters")
            .to_owned()
    }

    /// What has a `redis-server` speak TLS at `port`, to those who show a certificate.
    pub fn of_redis(&self, port: u16) -> Vec<String> {
        let settings = [
            ("--tls-port", port.to_string()),
            ("--tls-ca-cert-file", self.path("ca.pem")),
            ("--tls-cert-file", self.path("server.pem")),
            ("--tls-key-file", self.path("server.key")),
            ("--tls-auth-clients", "yes".to_owned()),
        ];
        let words = settings.into_iter();
        words
            .flat_map(|(name, value)| [name.to_owned(), value])
            .collect()
    }

    /// Has a server trust the CA, and show the certificate of a client.
    pub fn of_client(&self, launch: Launch) -> Launch {
        launch
            .flag("--redis-ca", &self.path("ca.pem"))
            .flag("--redis-cert", &self.path("client.pem"))
            .flag("--redis-key", &self.path("client.key"))
    }

    /// Makes a key and a certificate, which the CA signs unless it is its own.
    fn make(&self, name: &str, subject: &str, extension: Option<&str>) {
        let folder = self.folder.path();
        let (key, pem) = (format!("{name}.key"), format!("{name}.pem"));
        let key_args = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ];
        let Some(extension) = extension else {
            let own = ["req", "-x509", "-days", "2", "-subj", subject];
            return run(
                folder,
                &[&own[..], &key_args, &["-keyout", &key, "-out", &pem]].concat(),
            );
        };
        let request = format!("{name}.csr");
        let ask = ["req", "-subj", subject, "-keyout", &key, "-out", &request];
        run(folder, &[&ask[..], &key_args].concat());
        let extensions = format!("{name}.ext");
        fs::write(folder.join(&extensions), extension).expect("a file in the folder");
        let sign = ["x509", "-req", "-days", "2", "-in", &request, "-out", &pem];
        let by = [
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-extfile",
        ];
        run(folder, &[&sign[..], &by, &[&extensions]].concat());
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}

fn run(folder: &Path, args: &[&str]) {
    let mut openssl = Command::new("openssl");
    let ran = openssl.args(args).current_dir(folder).stderr(Stdio::null());
    let status = ran.status().expect("openssl is installed (make deps)");
    assert!(status.success(), "openssl {args:?}");
}
