import Foundation

/// The figures of a benchmark report that are worth a line on the screen.
public struct BenchmarkTable: Sendable, Equatable {
    public struct Row: Sendable, Equatable, Identifiable {
        public let name: String
        public let first: String
        public let second: String
        public var id: String { name }
    }

    public let rows: [Row]
    public let throttled: Bool

    private struct Report: Decodable {
        struct Speed: Decodable {
            let p50: Double
            let p95: Double
        }
        struct Stages: Decodable {
            let open: Speed?
            let warmUp: Speed?
            let encodeImage: Speed?
            let encodeText: Speed?
            let searchImage: Speed?
            let searchText: Speed?
            let scan: Speed?
            let cancel: Speed?
        }
        struct Memory: Decodable {
            let rssMb: Double?
            let peakMb: Double?
        }
        struct Recall: Decodable {
            let at1: Double
            let at5: Double
            let probes: Int
            enum CodingKeys: String, CodingKey {
                case at1 = "recall@1"
                case at5 = "recall@5"
                case probes
            }
        }
        struct Pace: Decodable {
            let throttled: Bool
        }
        let schema: String
        let ms: Stages
        let memory: Memory
        let recall: Recall?
        let pace: Pace
    }

    /// - Throws: `DecodingError` if `json` is no report of `Engine.benchmark`.
    public init(json: String) throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let report = try decoder.decode(Report.self, from: Data(json.utf8))
        let number = { (value: Double, digits: Int) in String(format: "%.\(digits)f", value) }
        let stages: [(String, Report.Speed?)] = [
            ("open", report.ms.open), ("warm up", report.ms.warmUp), ("encode image", report.ms.encodeImage),
            ("encode text", report.ms.encodeText), ("search image", report.ms.searchImage),
            ("search text", report.ms.searchText), ("scan", report.ms.scan),
            ("cancel", report.ms.cancel),
        ]
        var rows = stages.compactMap { name, speed in
            speed.map { Row(name: "\(name), ms p50 / p95", first: number($0.p50, 2), second: number($0.p95, 2)) }
        }
        if let now = report.memory.rssMb, let peak = report.memory.peakMb {
            rows.append(Row(name: "memory, MB now / peak", first: number(now, 0), second: number(peak, 0)))
        }
        if let recall = report.recall {
            let percent = { number($0 * 100, 0) + " %" }
            rows.append(
                Row(name: "recall@1 / @5 on \(recall.probes) photos", first: percent(recall.at1), second: percent(recall.at5)))
        }
        self.rows = rows
        throttled = report.pace.throttled
    }
}
