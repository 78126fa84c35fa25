//! Options of the linker for phones, whichever way the library is built.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("android") {
        for option in [
            // Devices with pages of 16 KB load nothing else.
            "-Wl,-z,max-page-size=16384",
            // Relocations packed as Android has read them since 6.0: a tenth of their size.
            "-Wl,--pack-dyn-relocs=android",
            // Functions of the same code are one.
            "-Wl,--icf=all",
        ] {
            println!("cargo::rustc-link-arg-cdylib={option}");
        }
    }
}
