/// A box in pixels of the upright picture; the origin is its top left corner.
public struct Area: Sendable, Hashable {
    public var x: Float
    public var y: Float
    public var width: Float
    public var height: Float

    public init(x: Float, y: Float, width: Float, height: Float) {
        self.x = x
        self.y = y
        self.width = width
        self.height = height
    }
}

/// A product of the catalogue, or one to ``Engine/add(_:pictures:replace:)`` to it; what the catalogue leaves empty is nil.
public struct Product: Sendable, Hashable, Identifiable {
    /// A column of the catalogue that begins with `attr.`.
    public struct Attribute: Sendable, Hashable {
        public let name: String
        public let value: String

        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// The catalogue's own, such as an article number: no two products have the same.
    public let id: String
    public let title: String
    public let brand: String?
    public let category: String?
    /// 14 digits; of a product to add 8, 12, 13 or 14.
    public let gtin: String?
    public let details: String?
    /// In the catalogue's order.
    public let attributes: [Attribute]

    public init(
        id: String, title: String, brand: String? = nil, category: String? = nil, gtin: String? = nil,
        details: String? = nil, attributes: [Attribute] = []
    ) {
        self.id = id
        self.title = title
        self.brand = brand
        self.category = category
        self.gtin = gtin
        self.details = details
        self.attributes = attributes
    }
}

/// What speaks for a match.
public struct Evidence: Sendable, Hashable {
    /// Log-odds from the picture, if there was one.
    public let looks: Float?
    /// Log-odds from the words, if there were any.
    public let words: Float?
    /// A barcode in the picture, or typed, names this product.
    public let barcode: Bool
}

/// A product that may be the one asked for.
public struct Match: Sendable, Hashable {
    public let product: Product
    /// Probability that it is, in `0...1`; at least 0.99 if a barcode says so, else at most 0.98.
    public let score: Float
    public let evidence: Evidence
}

/// Time of a stage.
public struct StageTime: Sendable, Hashable {
    public let stage: String
    public let milliseconds: Double
}

/// Answer to ``Engine/find(_:text:options:)``.
public struct FindResult: Sendable, Hashable {
    /// Best first; empty if nothing matches.
    public let matches: [Match]
    /// GTINs read from the picture, in the catalogue or not.
    public let barcodes: [String]
    /// In the order they ran.
    public let times: [StageTime]
    /// The best match.
    public var best: Match? { matches.first }
}

/// A place in the picture that holds a product.
public struct Item: Sendable, Hashable {
    public let area: Area
    /// Certainty that a product is there, in `0...1`.
    public let detection: Float
    /// The same number from frame to frame for the same place, in a stream of frames; nil for a single picture.
    public let track: UInt64?
    /// Best first; empty if the filters leave none.
    public let matches: [Match]
    /// The best match.
    public var best: Match? { matches.first }
}

/// What was done with a frame of a stream.
public enum Effort: Sendable, Hashable {
    /// It shows what an earlier frame showed, whose answer stands.
    case unchanged
    /// Boxes were carried along with the picture.
    case moved
    /// Products were detected, and those not known from before named.
    case detected
}

/// Answer to ``Engine/scan(_:options:)``.
public struct ScanResult: Sendable, Hashable {
    /// The most certain first.
    public let items: [Item]
    /// GTINs read from the picture, in the catalogue or not.
    public let barcodes: [String]
    public let effort: Effort
    /// Width of the upright picture, to which areas refer.
    public let width: Int
    /// Height of the upright picture.
    public let height: Int
    /// In the order they ran.
    public let times: [StageTime]
}

/// A licence of something in a pack, to be shown in an app's credits.
public struct Licence: Sendable, Hashable {
    public let what: String
    public let licence: String
    public let attribution: String
}

/// What ``Engine/compact()`` made.
public struct Compacted: Sendable, Hashable {
    /// Products of the new pack.
    public let products: Int
    /// Bytes of the old pack and of what had been added to it.
    public let bytesBefore: UInt64
    /// Bytes of the new pack.
    public let bytesAfter: UInt64
}

/// What a pack says of itself.
public struct PackInfo: Sendable, Hashable {
    /// Products that can be found: those added count, those removed do not.
    public let products: Int
    /// Of the file, without what was added since it was written.
    public let bytes: UInt64
    public let format: Int
    /// Seconds since 1970.
    public let created: UInt64
    public let generator: String
    /// ``Engine/find(_:text:options:)`` takes pictures.
    public let findsPictures: Bool
    /// ``Engine/find(_:text:options:)`` takes words.
    public let findsWords: Bool
    /// ``Engine/scan(_:options:)`` works.
    public let scans: Bool
    public let licences: [Licence]
    /// Categories of the catalogue, sorted, at most 1,000: for a menu of filters.
    public let categories: [String]
    /// Brands of the catalogue, sorted, at most 1,000.
    public let brands: [String]
}

/// How far long work has come; the last value of a stream holds its `result`.
public struct WorkProgress<Result: Sendable>: Sendable {
    public let done: UInt64
    public let total: UInt64
    public let result: Result?
    /// In `0...1`.
    public var fraction: Double { total > 0 ? Double(done) / Double(total) : 0 }
}
