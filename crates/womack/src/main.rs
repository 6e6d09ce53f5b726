//! The `womack` program.

use std::process::ExitCode;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // In pages of 2 MiB the allocator holds twice the memory for idle clients, and is no faster.
    // Where the system does not know the request, nothing is lost but that.
    #[cfg(target_os = "linux")]
    rustix::thread::disable_transparent_huge_pages(true).ok();
    womack::cli::run(std::env::args_os())
}
