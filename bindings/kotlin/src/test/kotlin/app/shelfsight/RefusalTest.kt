package app.shelfsight

import app.shelfsight.internal.Bridge
import app.shelfsight.internal.Failure
import app.shelfsight.internal.FastPath
import app.shelfsight.internal.FfiConverterTypeFailure
import app.shelfsight.internal.FfiConverterTypeRequest
import app.shelfsight.internal.Library
import app.shelfsight.internal.NativeEngine
import app.shelfsight.internal.OpenSettings
import app.shelfsight.internal.ProductRecord
import app.shelfsight.internal.Request
import app.shelfsight.internal.Work
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.flowOf
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.nio.ByteBuffer

private val NONE: ByteBuffer = ByteBuffer.allocateDirect(0)

/** What an app can do wrong ends in a typed exception of one line, and the engine works on. */
class RefusalTest {
    @TempDir
    lateinit var folder: File

    private fun direct(size: Int): ByteBuffer = ByteBuffer.allocateDirect(size)

    private fun gray(width: Int, height: Int, plane: Plane, rotation: Int = 0) = Frame.gray(width, height, plane, rotation)

    @Test
    fun `packs that are none`() {
        refused<PackNotFoundException>("missing.shelf") { Engine.open(File(folder, "missing.shelf")) }
        refused<PackNotFoundException>("not a file") { Engine.open(folder) }
        val empty = File(folder, "empty").apply { createNewFile() }
        refused<PackDamagedException>("cut off") { Engine.open(empty) }
        val text = File(folder, "text").apply { writeText("no pack at all, but long enough to hold a header ".repeat(9)) }
        refused<PackDamagedException>("magic") { Engine.open(text) }
        val bytes = Demo.pack.readBytes()
        val cut = File(folder, "cut").apply { writeBytes(bytes.copyOf(bytes.size - 1)) }
        refused<PackDamagedException>("cut off") { Engine.open(cut) }
        bytes[bytes.size / 2] = (bytes[bytes.size / 2].toInt() xor 4).toByte()
        val flipped = File(folder, "flipped").apply { writeBytes(bytes) }
        refused<PackDamagedException>("damaged") { Engine.open(flipped, EngineOptions(verify = true)) }
        refused<PackUnsupportedException>("allowed") { Engine.open(Demo.pack, EngineOptions(maxPackBytes = 1000)) }
    }

    @Test
    fun `frames that are no pictures`() = runBlocking<Unit> {
        Demo.withEngine { engine ->
            fun bad(part: String, frame: Frame) = refused<FrameException>(part) { engine.find(frame) }
            bad("Y plane has 100 B", yuv(100))
            bad("grey plane has 100 B", gray(64, 64, Plane(direct(100), 64, 1)))
            bad("grey plane has 0 B", gray(64, 64, Plane(direct(0), 64, 1)))
            bad("strides", gray(64, 64, Plane(direct(4096), 63, 1)))
            bad("strides", gray(64, 64, Plane(direct(4096), 64, 0)))
            bad("-64", gray(64, 64, Plane(direct(4096), -64, 1)))
            bad("45°", gray(64, 64, Plane(direct(4096), 64, 1), rotation = 45))
            bad("each side", gray(0, 64, Plane(direct(4096), 64, 1)))
            bad("-1", gray(64, -1, Plane(direct(4096), 64, 1)))
            bad("each side", gray(Int.MAX_VALUE, 64, Plane(direct(4096), Int.MAX_VALUE, 1)))
            bad("direct", gray(64, 64, Plane(ByteBuffer.allocate(4096), 64, 1)))
            // Past its limit a buffer is not the frame's.
            bad("grey plane has 4095 B", gray(64, 64, Plane(direct(8192).apply { limit(4095) }, 64, 1)))
            refused<FrameException>("grey plane") { engine.scan(gray(64, 64, Plane(direct(100), 64, 1))) }
            refused<FrameException>("grey plane") { engine.scan(flowOf(gray(64, 64, Plane(direct(100), 64, 1)))).collect() }
            refused<PhotoException>("") { engine.find(Frame.photo(ByteArray(0))) }
            refused<PhotoException>("") { engine.find(Frame.photo("GIF89a and so on".toByteArray())) }
            val outside = FindOptions(region = Area(100f, 100f, 10f, 10f), barcodes = false)
            refused<FrameException>("no pixel inside") { engine.find(gray(64, 64, Plane(direct(4096), 64, 1)), options = outside) }
            // And after all that it answers.
            assertEquals(1, engine.find("chips", FindOptions(top = 1)).matches.size)
        }
    }

    /** As a caller in Java, or one who forgot a plane, would pass them; the buffers of a frame cannot be null in Kotlin. */
    @Test
    fun `null planes at the border`() {
        Library.load()
        val settings = OpenSettings(verify = false, maxPackBytes = null, maxMemoryBytes = null, threads = 1u)
        val pack = File(folder, "border.shelf").apply { writeBytes(Demo.pack.readBytes()) }
        val native = NativeEngine.open(pack.path, settings)
        val key = native.key().toLong()
        fun reason(vararg planes: ByteBuffer?): String {
            val layout = yuv(4096).layout
            val job = FastPath.begin(key)
            val request = Request(job.toULong(), layout, Work.Find(null, null, 1u), emptyList(), barcodes = false)
            val bytes = ByteBuffer.allocate(FfiConverterTypeRequest.allocationSize(request).toInt())
            FfiConverterTypeRequest.write(request, bytes)
            val reply = ByteBuffer.wrap(FastPath.query(key, bytes.array(), planes[0], planes[1], planes[2]))
            FastPath.end(key, job)
            assertEquals(1, reply.get().toInt())
            return (Bridge.exception(FfiConverterTypeFailure.read(reply)) as FrameException).reason
        }
        assertTrue("Y plane has 0 B" in reason(null, direct(1024), direct(1024)))
        assertTrue("U plane has 0 B" in reason(direct(4096), null, direct(1024)))
        assertTrue("V plane has 0 B" in reason(direct(4096), direct(1024), null))
        // A request that is not one, and an engine that never was.
        val broken = ByteBuffer.wrap(FastPath.query(key, ByteArray(3), null, null, null))
        assertEquals(1, broken.get().toInt())
        assertTrue(Bridge.exception(FfiConverterTypeFailure.read(broken)) is LibraryFaultException)
        // A picture to code that is none, codes that are none, a job that never began, and an engine shut meanwhile.
        val bare = ProductRecord("x", "soap", "", "", "", "", emptyList())
        val job = FastPath.begin(key)
        assertThrows<Failure.Frame> { native.query(Request(job.toULong(), null, Work.Code, emptyList(), false), NONE, NONE, NONE) }
        for (code in listOf(ByteArray(0), ByteArray(3), ByteArray(4), ByteArray(200) { it.toByte() })) {
            assertThrows<Failure.Product> { native.add(job.toULong(), bare, listOf(code), false) }
        }
        assertThrows<Failure.Cancelled> { native.add(987_654u, bare, emptyList(), false) }
        FastPath.cancel(key, job)
        assertThrows<Failure.Cancelled> { native.add(job.toULong(), bare, emptyList(), false) }
        assertThrows<Failure.NoSuchProduct> { native.remove("") }
        native.shut()
        assertThrows<Failure.Closed> { native.add(job.toULong(), bare, emptyList(), false) }
        assertThrows<Failure.Closed> { native.remove("x") }
        assertThrows<Failure.Closed> { native.compact() }
        assertEquals(-1, FastPath.begin(key))
        FastPath.cancel(key, 7)
        FastPath.end(-5, 7)
    }

    private fun yuv(bytes: Int) = Frame.yuv420(
        64, 64, Plane(direct(bytes), 64, 1), Plane(direct(1024), 32, 1), Plane(direct(1024), 32, 1),
    )

    @Test
    fun `queries that ask nothing or too much`() = runBlocking<Unit> {
        Demo.withEngine { engine ->
            refused<QueryException>("nothing to look for") { engine.find() }
            refused<QueryException>("nothing to look for") { engine.find("   ") }
            refused<QueryException>("10000") { engine.find("chips", FindOptions(top = 10_001)) }
            refused<QueryException>("-1") { engine.find("chips", FindOptions(top = -1)) }
            refused<QueryException>("empty value") {
                engine.find("chips", FindOptions(filters = filters { brand anyOf emptyList() }))
            }
            refused<QueryException>("attr.") { engine.find("chips", FindOptions(filters = filters { attribute("") eq "x" })) }
            assertEquals(0, engine.find("chips", FindOptions(top = 0)).matches.size)
            refused<QueryException>("surrogate") { engine.find("chips \uD83C") }
            // A name is a name, whatever signs it holds: no product has such a column.
            for (name in listOf("colour!", "colour=x", "colour ")) {
                val odd = FindOptions(filters = filters { attribute(name) eq "orange" })
                assertEquals(0, engine.find("chips", odd).matches.size, name)
            }
        }
    }

    @Test
    fun `a frame or an engine that is closed`() = runBlocking<Unit> {
        val engine = Engine.open(Demo.pack)
        val frame = gray(64, 64, Plane(direct(4096), 64, 1))
        engine.find(frame)
        frame.close()
        frame.close()
        refused<FrameException>("closed") { engine.find(frame) }
        engine.close()
        engine.close()
        refused<EngineClosedException>("closed") { engine.find("chips") }
        refused<EngineClosedException>("closed") { engine.scan(Frame.photo(Demo.shelf.readBytes())) }
        refused<EngineClosedException>("closed") { engine.scan(flowOf<Frame>()).collect() }
        refused<EngineClosedException>("closed") { engine.verify().collect() }
        refused<EngineClosedException>("closed") { engine.warmUp() }
        assertTrue(engine.info.products > 0)
    }

    @Test
    fun `a memory ceiling`() = runBlocking<Unit> {
        Demo.withEngine(EngineOptions(maxMemoryBytes = 1 shl 20)) { engine ->
            val thrown = refused<MemoryCeilingException>("ceiling") { engine.scan(Frame.photo(Demo.shelf.readBytes())) }
            assertEquals(1L shl 20, thrown.allowed)
            assertTrue(thrown.needed > thrown.allowed && thrown.inUse == 0L)
        }
        Demo.withEngine(EngineOptions(maxMemoryBytes = 256L shl 20)) { engine ->
            assertTrue(engine.scan(Frame.photo(Demo.shelf.readBytes())).items.isNotEmpty())
        }
    }

    @Test
    fun `a pack replaced while open stays what it was, beside the new one`() = runBlocking<Unit> {
        val copy = File(folder, "copy.shelf").apply { writeBytes(Demo.pack.readBytes()) }
        Engine.open(copy).use { first ->
            Packs.import(copy) { Demo.pack.inputStream() }.collect()
            Engine.open(copy).use { second ->
                val options = FindOptions(top = 3)
                assertEquals(first.find("chips", options).matches, second.find("chips", options).matches)
            }
            assertEquals(1, first.find("chips", FindOptions(top = 1)).matches.size)
        }
    }

    @Test
    fun `a pack removed while open goes on until it is closed`() = runBlocking<Unit> {
        val copy = File(folder, "copy.shelf").apply { writeBytes(Demo.pack.readBytes()) }
        Engine.open(copy).use { engine ->
            assertTrue(copy.delete())
            assertEquals(1, engine.find("chips", FindOptions(top = 1)).matches.size)
            assertTrue(engine.scan(Frame.photo(Demo.shelf.readBytes())).items.isNotEmpty())
        }
        refused<PackNotFoundException>("copy.shelf") { Engine.open(copy) }
    }
}
