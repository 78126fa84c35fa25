import ShelfSight
import XCTest

extension XCTestCase {
    /// That `work` throws this kind of error, with one line of which `part` is a part.
    func refused(
        _ part: String, _ kind: String, file: StaticString = #filePath, line: UInt = #line, _ work: () async throws -> Void
    ) async {
        do {
            try await work()
            XCTFail("nothing was thrown", file: file, line: line)
        } catch let error as ShelfSightError {
            XCTAssertTrue(error.reason.contains(part), error.reason, file: file, line: line)
            XCTAssertTrue("\(error)".hasPrefix(kind), "\(error)", file: file, line: line)
            XCTAssertFalse(error.reason.contains("\n"), file: file, line: line)
        } catch {
            XCTFail("\(error)", file: file, line: line)
        }
    }
}
