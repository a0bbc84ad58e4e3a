//! The one binary. All that it does is in the library.

fn main() -> std::process::ExitCode {
    waybill::cli::main()
}
