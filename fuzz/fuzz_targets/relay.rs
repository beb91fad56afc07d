#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    minato_proxy_server::relay(data);
});
