//! Generates the client and server of the echo that the hub is compared with, and a client of the hub that sends
//! submissions as bytes made ahead, so that the load costs as little on one side as on the other.

use tonic_build::manual::{Builder, Method, MethodBuilder, Service};

fn method(name: &str, route: &str, input: &str, output: &str) -> MethodBuilder {
    Method::builder()
        .name(name)
        .route_name(route)
        .input_type(input)
        .output_type(output)
        .codec_path("tonic_prost::ProstCodec")
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
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
