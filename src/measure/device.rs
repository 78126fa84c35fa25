//! What is known of the device without asking anybody.

use std::collections::BTreeMap;
use std::fs;

use serde::Serialize;

use crate::kernels::Isa;

/// The device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Device {
    /// `linux`, `android`, `ios`, `macos`, …
    pub os: &'static str,
    /// `aarch64`, `x86_64`, …
    pub arch: &'static str,
    /// Threads that can run at the same time.
    pub cores: usize,
    /// Instruction sets that kernels use here, the best first.
    pub kernels: Vec<String>,
    /// Name of the processor, where the system tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Memory of the device in MB, where the system tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u64>,
    /// What the app added.
    #[serde(flatten)]
    pub facts: BTreeMap<String, String>,
}

/// Memory of this process, where the system tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Resident now, in MB.
    pub rss_mb: Option<f64>,
    /// Most that was ever resident, in MB.
    pub peak_mb: Option<f64>,
}

/// The device, with an app's own facts. A fact named as a field here is kept under `app.` and its name.
pub fn device(facts: &[(String, String)]) -> Device {
    const OWN: [&str; 6] = ["os", "arch", "cores", "kernels", "cpu", "memory_mb"];
    let name = |name: &String| match OWN.contains(&name.as_str()) {
        true => format!("app.{name}"),
        false => name.clone(),
    };
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    // x86 names the model, ARM kernels the hardware (or only numbers of the core's maker and part).
    let cpu = ["model name", "Hardware", "CPU part"].iter().find_map(|key| field(&cpuinfo, key));
    Device {
        os: std::env::consts::OS,
        arch: std::env::consts::ARCH,
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        kernels: Isa::available().iter().map(|isa| format!("{isa:?}").to_lowercase()).collect(),
        cpu: cpu.map(str::to_owned),
        memory_mb: kilobytes(field(&meminfo, "MemTotal")).map(|kb| kb / 1000),
        facts: facts.iter().map(|(key, value)| (name(key), value.clone())).collect(),
    }
}

/// Memory of this process.
pub fn memory() -> Memory {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mb = |key| kilobytes(field(&status, key)).map(|kb| (kb as f64 * 1.024).round() / 1000.0);
    Memory { rss_mb: mb("VmRSS"), peak_mb: mb("VmHWM") }
}

/// The value of a `key: value` line.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let mut values = lines.filter(|(name, _)| name.trim() == key).map(|(_, value)| value.trim());
    values.find(|value| !value.is_empty())
}

fn kilobytes(value: Option<&str>) -> Option<u64> {
    value?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_an_app_stand_beside_ours() {
        let facts = [("model".to_owned(), "Phone 1".to_owned()), ("os".to_owned(), "Android 15".to_owned())];
        let json = serde_json::to_value(device(&facts)).unwrap();
        assert_eq!(json["model"], "Phone 1");
        assert_eq!(json["app.os"], "Android 15");
        assert_eq!(json["os"], std::env::consts::OS);
        assert!(json["cores"].as_u64().unwrap() >= 1 && !json["kernels"].as_array().unwrap().is_empty());
    }

    #[test]
    fn lines_are_read() {
        let text = "processor\t: 0\nmodel name\t: \nmodel name\t: Some CPU\nVmRSS:\t  2048 kB\n";
        assert_eq!(field(text, "model name"), Some("Some CPU"));
        assert_eq!(kilobytes(field(text, "VmRSS")), Some(2048));
        assert_eq!(field(text, "Hardware"), None);
    }
}
