//! Generates the client and server of the echo that the hub is compared with, and a client of the hub that sends
//! submissions as bytes made ahead, so that the load costs as little on one side as on the other. Compiles the bare producer
//! that it is compared with on Kafka.

use std::{env, path::Path, process::Command};

use tonic_build::manual::{Builder, Method, MethodBuilder, Service};

fn method(name: &str, route: &str, input: &str, output: &str) -> MethodBuilder {
    Method::builder()
        .name(name)
        .route_name(route)
        .input_type(input)
        .output_type(output)
        .codec_path("tonic_prost::ProstCodec")
}

/// A program without Rust, so that it has the C library's allocator: whatever is built with the hub has the hub's.
fn compile_bare_producer() {
    const SOURCE: &str = "src/bare.c";
    println!("cargo:rerun-if-changed={SOURCE}");
    println!("cargo:rerun-if-env-changed=CC");
    let var = |name: &str| env::var(name).unwrap_or_else(|_| panic!("cargo sets {name} for this script"));
    let (librdkafka, program) =
        (Path::new(&var("DEP_RDKAFKA_ROOT")).join("src"), Path::new(&var("OUT_DIR")).join("bare"));
    let compiled = Command::new(env::var("CC").unwrap_or_else(|_| "cc".into()))
        .args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", SOURCE, "-o"])
        .arg(&program)
        .arg("-isystem")
        .arg(&librdkafka)
        // The library that the hub is linked with, here as one that is shared: it brings all that it needs itself.
        .arg(librdkafka.join("librdkafka.so.1"))
        .arg(format!("-Wl,-rpath,{}", librdkafka.display()))
        .status();
    assert!(compiled.is_ok_and(|status| status.success()), "{SOURCE} is not compiled");
    println!("cargo:rustc-env=BARE_PRODUCER={}", program.display());
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    compile_bare_producer();
    let blob = "crate::echo::Blob";
    let echo = Service::builder()
        .package("waybill.bench")
        .name("Echo")
        .method(method("one", "One", blob, blob).build())
        .method(method("many", "Many", blob, blob).client_streaming().server_streaming().build())
        .build();
    Builder::new().compile(&[echo]);

    let (one, many) = ("waybill_proto::v1::SubmitResponse", "waybill_proto::v1::SubmitStreamResponse");
    let streamed = method("submit_stream", "SubmitStream", "crate::submitter::SubmitMany", many);
    let exchange = Service::builder()
        .package("waybill.v1")
        .name("ExchangeService")
        .method(method("submit", "Submit", "crate::submitter::SubmitOne", one).build())
        .method(streamed.client_streaming().server_streaming().build())
        .build();
    Builder::new().build_server(false).compile(&[exchange]);
}
