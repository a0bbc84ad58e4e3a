//! Generates the client and server of the echo that the hub is compared with.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let method = |name: &str, route: &str| {
        tonic_build::manual::Method::builder()
            .name(name)
            .route_name(route)
            .input_type("crate::echo::Blob")
            .output_type("crate::echo::Blob")
            .codec_path("tonic_prost::ProstCodec")
    };
    let echo = tonic_build::manual::Service::builder()
        .package("waybill.bench")
        .name("Echo")
        .method(method("one", "One").build())
        .method(method("many", "Many").client_streaming().server_streaming().build())
        .build();
    tonic_build::manual::Builder::new().compile(&[echo]);
}
