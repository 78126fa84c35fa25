package app.shelfsight

import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.util.concurrent.atomic.AtomicInteger
import kotlin.system.measureNanoTime

/** Products that an app adds and removes: found at once, there after opening again, and as they were when built. */
class EditTest {
    @TempDir
    lateinit var folder: File

    private val mine = Product(
        id = "mine",
        title = "Zebra crossing soap",
        brand = "Own",
        category = "Odds",
        gtin = "5901234123457",
        attributes = mapOf("colour" to "striped", "size" to "2 m"),
    )

    private fun pack() = File(folder, "shop.shelf").apply { writeBytes(Demo.pack.readBytes()) }

    private fun journal(pack: File) = File("$pack.journal")

    private suspend fun Engine.seen(file: File = photo) =
        find(Frame.photo(file.readBytes()), options = looks).matches

    private suspend fun Engine.has(id: String) =
        find("a", FindOptions(top = 1, filters = filters { this.id eq id })).matches.isNotEmpty()

    private suspend fun Engine.record(id: String) =
        find("a", FindOptions(top = 1, filters = filters { this.id eq id })).best!!.product

    private companion object {
        val looks = FindOptions(barcodes = false)

        /** A photo that needs no barcode to be named; not every one does. */
        val photo = runBlocking {
            Demo.withEngine { engine ->
                Demo.photos.first {
                    val found = engine.find(Frame.photo(it.readBytes()), options = looks)
                    found.best?.product?.id == it.nameWithoutExtension
                }
            }
        }

        /** The demo's product on it. */
        val known: String = photo.nameWithoutExtension
    }

    @Test
    fun `a product is found by its picture, words and number, at once and after opening again`() = runBlocking<Unit> {
        val pack = pack()
        suspend fun check(engine: Engine) {
            assertEquals("mine", engine.seen().first().product.id)
            assertEquals(mine.copy(gtin = "05901234123457"), engine.find("zebra crossing soap").best!!.product)
            assertTrue(engine.find("5901234123457").best!!.run { product.id == "mine" && evidence.barcode })
            val own = engine.find("a", FindOptions(top = 50, filters = filters { brand eq "own" })).matches
            assertEquals(listOf("mine"), own.map { it.product.id })
            assertFalse(engine.has(known))
        }
        val built = Engine.open(pack).use { engine ->
            assertEquals(known, engine.seen().first().product.id)
            engine.remove(known)
            assertTrue(engine.seen().none { it.product.id == known })
            // Two pictures of what the photo shows, as a file and as a camera gives them.
            val (file, camera) = Demo.pictures(known).let { it.first() to Demo.image(it.last()) }
            engine.add(mine, listOf(Frame.photo(file.readBytes()), Demo.yuv(camera).frame()))
            check(engine)
            val (before, now) = engine.info to engine.currentInfo()
            assertEquals(before.products, now.products)
            assertTrue("Own" in now.brands && "Odds" in now.categories && "Own" !in before.brands)
            before.products
        }
        Engine.open(pack).use {
            check(it)
            assertEquals(built, it.info.products)
        }
    }

    @Test
    fun `the same pictures and words make the product that the pack was built with`() = runBlocking<Unit> {
        Engine.open(pack()).use { engine ->
            val scan = engine.scan(Frame.photo(Demo.shelf.readBytes()))
            for (photo in Demo.photos.take(6)) {
                val id = photo.nameWithoutExtension
                val (seen, words, record) = Triple(engine.seen(photo), engine.find("sweet chili chips").matches, engine.record(id))
                val pictures = Demo.pictures(id).map { Frame.photo(it.readBytes()) }
                engine.add(record, pictures, replace = true)
                assertEquals(seen, engine.seen(photo))
                assertEquals(words.toSet(), engine.find("sweet chili chips").matches.toSet())
            }
            val again = engine.scan(Frame.photo(Demo.shelf.readBytes()))
            assertEquals(scan.items.map { it.best }, again.items.map { it.best })
        }
    }

    @Test
    fun `frames are read and left to who made them`() = runBlocking<Unit> {
        Engine.open(pack()).use { engine ->
            val closed = AtomicInteger()
            val frame = Demo.yuv(Demo.image(photo), padding = 7, step = 2).frame { closed.incrementAndGet() }
            engine.add(mine, listOf(frame))
            assertEquals(0, closed.get())
            frame.close()
            assertEquals(1, closed.get())
            assertEquals("mine", engine.seen().first().product.id)
            val refused = runCatching { engine.add(mine.copy(id = "other"), listOf(frame)) }
            assertTrue("closed" in (refused.exceptionOrNull() as FrameException).reason)
            assertFalse(engine.has("other"))
        }
    }

    @Test
    fun `an id is there once`() = runBlocking<Unit> {
        val pack = pack()
        Engine.open(pack).use { engine ->
            val built = engine.info.products
            val again = Product(id = known, title = "Renamed beyond recognition")
            refused<DuplicateProductException>("replaced") { engine.add(again) }
            assertEquals(known, engine.seen().first().product.id)
            engine.add(again, replace = true)
            assertEquals(again, engine.find("renamed beyond recognition").best!!.product)
            // Its pictures went with it.
            assertTrue(engine.seen().none { it.product.id == known })
            assertEquals(built, engine.currentInfo().products)
            // To replace what is not there is to add it.
            engine.add(mine, replace = true)
            assertEquals(built + 1, engine.currentInfo().products)
        }
        Engine.open(pack).use { assertEquals("Renamed beyond recognition", it.record(known).title) }
    }

    @Test
    fun `what is removed is never found again`() = runBlocking<Unit> {
        val pack = pack()
        suspend fun gone(engine: Engine, gtin: String, title: String) {
            assertTrue(engine.seen().none { it.product.id == known })
            assertTrue(engine.find(Frame.photo(photo.readBytes())).matches.none { it.product.id == known })
            assertTrue(engine.find(gtin).matches.none { it.product.id == known })
            assertTrue(engine.find(title).matches.none { it.product.id == known })
            assertTrue(engine.scan(Frame.photo(Demo.shelf.readBytes())).items.none { item -> item.matches.any { it.product.id == known } })
            refused<NoSuchProductException>("no product") { engine.remove(known) }
        }
        val product = Engine.open(pack).use { engine ->
            val product = engine.record(known)
            engine.remove(known)
            gone(engine, product.gtin!!, product.title)
            refused<NoSuchProductException>("no product") { engine.remove("never|was") }
            product
        }
        Engine.open(pack).use {
            gone(it, product.gtin!!, product.title)
            it.add(product)
            assertEquals(known, it.find(product.title).best!!.product.id)
        }
    }

    @Test
    fun `a flow sees edits at once, in a picture that does not change too`() = runBlocking<Unit> {
        Engine.open(pack()).use { engine ->
            val shelf = Demo.yuv(Demo.image(Demo.shelf))
            val answered = Channel<Unit>(Channel.UNLIMITED)
            val frames = flow {
                repeat(8) {
                    emit(shelf.frame())
                    answered.receive()
                }
            }
            val seen = mutableListOf<ScanResult>()
            lateinit var removed: Product
            fun ScanResult.shows(id: String) = items.any { item -> item.matches.any { it.product.id == id } }
            engine.scan(frames, pace = Pace(maxDetectionsPerSecond = 100f, duty = 1f)).collect { result ->
                seen += result
                when (seen.size) {
                    2 -> {
                        assertEquals(Effort.UNCHANGED, result.effort)
                        removed = result.items.first().best!!.product
                        engine.remove(removed.id)
                    }
                    in 3..4 -> assertFalse(result.shows(removed.id), "answer ${seen.size} shows what was removed")
                    5 -> engine.add(removed, Demo.pictures(removed.id).map { Frame.photo(it.readBytes()) })
                }
                // Longer than a detection may be away at this pace.
                delay(500)
                answered.send(Unit)
            }
            assertEquals(seen.first().items.map { it.best?.product?.id }, seen.last().items.map { it.best?.product?.id })
            assertEquals(Effort.UNCHANGED, seen.last().effort)
        }
    }

    @Test
    fun `an add that is cancelled adds nothing, one that was too late returns`() = runBlocking<Unit> {
        val pack = pack()
        val ids = Engine.open(pack).use { engine ->
            engine.warmUp()
            val pictures = List(3) { Demo.rgbaFrame(Demo.image(photo)) }
            val whole = measureNanoTime { engine.add(mine, pictures) } / 1e6
            val returned = mutableSetOf("mine")
            val ends = (0 until 16).map { turn ->
                val id = "turn $turn"
                val job = launch(Dispatchers.Default) {
                    engine.add(mine.copy(id = id), pictures)
                    synchronized(returned) { returned += id }
                }
                delay((whole * turn / 14).toLong())
                val ms = measureNanoTime { job.cancelAndJoin() } / 1e6
                assertEquals(id in returned, engine.has(id), id)
                ms
            }.sorted()
            println("add %.0f ms; cancelled within %.1f ms (median)".format(whole, ends[8]))
            assertTrue(returned.size < 17, "nothing was ever cancelled")
            val job = launch(start = CoroutineStart.LAZY) { engine.add(mine.copy(id = "late")) }
            job.cancelAndJoin()
            assertFalse(engine.has("late"))
            returned
        }
        Engine.open(pack).use { engine ->
            for (turn in 0 until 16) assertEquals("turn $turn" in ids, engine.has("turn $turn"))
        }
    }

    @Test
    fun `many coroutines add at once, and one of two wins an id`() = runBlocking<Unit> {
        val pack = pack()
        val built = Engine.open(pack).use { engine ->
            val adds = List(12) { at ->
                async(Dispatchers.Default) {
                    val pictures = listOf(Demo.rgbaFrame(Demo.image(Demo.photos[at])))
                    runCatching { engine.add(mine.copy(id = "id ${at / 2 * 2 + at % 2 * (at / 6)}"), pictures) }
                }
            }
            val finds = List(6) { async(Dispatchers.Default) { engine.seen(Demo.photos[it]) } }
            val ends = adds.awaitAll()
            assertTrue(finds.awaitAll().all { it.isNotEmpty() })
            assertTrue(ends.mapNotNull { it.exceptionOrNull() }.all { it is DuplicateProductException }, "$ends")
            assertEquals(engine.info.products + ends.count { it.isSuccess }, engine.currentInfo().products)
            // 0 and 1 are both "id 0", 2 and 3 "id 2", 4 and 5 "id 4"; 6 to 11 are "id 6", 7, 8, 9, 10 and 11.
            assertEquals(9, ends.count { it.isSuccess })
            engine.info.products
        }
        Engine.open(pack).use { assertEquals(built + 9, it.info.products) }
    }

    @Test
    fun `products that cannot be added`() = runBlocking<Unit> {
        val pack = pack()
        val built = Engine.open(pack).use { engine ->
            refused<ProductException>("check digit 8 where") { engine.add(mine.copy(gtin = "5901234123458")) }
            refused<ProductException>("8, 12, 13 or 14") { engine.add(mine.copy(gtin = "59012")) }
            refused<ProductException>("digits") { engine.add(mine.copy(gtin = "soap")) }
            refused<ProductException>("id is empty") { engine.add(mine.copy(id = "")) }
            refused<ProductException>("nothing could find") { engine.add(Product(id = "bare", title = " ")) }
            // Words that no pack's vocabulary knows are no words.
            refused<ProductException>("nothing could find") { engine.add(Product(id = "bare", title = "\u200b")) }
            val long = mine.copy(attributes = mapOf("scan" to "x".repeat(17 shl 20)))
            refused<ProductException>("journal takes up to") { engine.add(long) }
            refused<PhotoException>("") { engine.add(mine, listOf(Frame.photo(ByteArray(9)))) }
            refused<FrameException>("grey plane") {
                engine.add(mine, listOf(Frame.gray(64, 64, Plane(java.nio.ByteBuffer.allocateDirect(9), 64, 1))))
            }
            assertFalse(engine.has("mine"))
            assertEquals(engine.info.products, engine.currentInfo().products)
            // By its number alone it can be found.
            engine.add(Product(id = "number", title = "", gtin = "96385074"))
            assertEquals("number", engine.find("9638-5074").best!!.product.id)
            engine.info.products
        }
        Engine.open(pack).use { assertEquals(built + 1, it.info.products) }
        Engine.open(pack, EngineOptions(maxMemoryBytes = 1000)).use { engine ->
            val picture = listOf(Demo.rgbaFrame(Demo.image(photo)))
            assertEquals(1000, refused<MemoryCeilingException>("ceiling") { engine.add(mine, picture) }.allowed)
            refused<MemoryCeilingException>("ceiling") { engine.add(mine) }
        }
    }

    /** Not even an administrator can make files in `/proc`, where a pack that is open lies too, by another name. */
    @Test
    fun `a folder that nothing can be written to`() = runBlocking<Unit> {
        val pack = pack()
        pack.inputStream().use {
            val link = File("/proc/self/fd").listFiles()!!.first { it.canonicalFile == pack.canonicalFile }
            Engine.open(link).use { engine ->
                refused<StorageException>(".journal") { engine.add(mine) }
                refused<StorageException>(".journal") { engine.remove(known) }
                refused<StorageException>(".journal") { engine.compact() }
                assertEquals(known, engine.seen().first().product.id)
                assertFalse(engine.has("mine"))
            }
        }
        // A journal that is no file, and then the pack is used where files can be made.
        Engine.open(pack).use { engine ->
            assertTrue(journal(pack).mkdir())
            refused<StorageException>(".journal") { engine.add(mine) }
            assertTrue(journal(pack).delete())
            engine.add(mine)
            assertTrue(engine.has("mine"))
        }
    }

    @Test
    fun `one engine at a time edits a pack`() = runBlocking<Unit> {
        val pack = pack()
        val first = Engine.open(pack)
        Engine.open(pack).use { second ->
            first.add(mine)
            refused<PackInUseException>("in use") { second.add(mine) }
            refused<PackInUseException>("in use") { second.remove(known) }
            first.close()
            // It learns what the other did before it does more.
            refused<DuplicateProductException>("replaced") { second.add(mine) }
            second.remove("mine")
            assertFalse(second.has("mine"))
        }
    }

    @Test
    fun `a compacted pack answers as before`() = runBlocking<Unit> {
        val pack = pack()
        suspend fun answers(engine: Engine) = listOf(
            engine.seen(),
            engine.seen(Demo.photos[3]),
            engine.find("zebra crossing soap").matches,
            engine.find("5901234123457").matches,
            engine.scan(Frame.photo(Demo.shelf.readBytes())).items.flatMap { it.matches },
        )
        val before = Engine.open(pack).use { engine ->
            assertNull(engine.compact())
            engine.add(mine, listOf(Frame.photo(photo.readBytes())))
            engine.remove(Demo.photos[3].nameWithoutExtension)
            val before = answers(engine)
            val done = engine.compact()!!
            assertEquals(engine.info.products, done.products)
            assertEquals(pack.length(), done.bytesAfter)
            assertTrue(done.bytesBefore > engine.info.bytes)
            assertFalse(journal(pack).exists())
            assertEquals(before, answers(engine))
            refused<PackReplacedException>("open it again") { engine.add(mine.copy(id = "lost")) }
            refused<PackReplacedException>("open it again") { engine.remove("mine") }
            refused<PackReplacedException>("open it again") { engine.compact() }
            before
        }
        Engine.open(pack, EngineOptions(verify = true)).use { engine ->
            assertEquals(before, answers(engine))
            assertNull(engine.compact())
            engine.add(mine.copy(id = "next"))
            assertTrue(engine.has("next") && !engine.has("lost"))
        }
    }

    @Test
    fun `a pack imported in the place of one that was edited`() = runBlocking<Unit> {
        val pack = pack()
        Engine.open(pack).use { old ->
            old.add(mine)
            Packs.import(pack) { Demo.pack.inputStream() }.collect()
            assertTrue(old.has("mine"))
            refused<PackReplacedException>("replaced") { old.remove("mine") }
            Engine.open(pack).use { new ->
                assertFalse(new.has("mine"))
                new.add(mine)
                assertTrue(new.has("mine"))
            }
        }
    }

    @Test
    fun `an engine that is closed, before and meanwhile`() = runBlocking<Unit> {
        val pack = pack()
        val engine = Engine.open(pack)
        engine.warmUp()
        val pictures = List(4) { Demo.rgbaFrame(Demo.image(photo)) }
        val adds = List(4) { async(Dispatchers.Default) { runCatching { engine.add(mine.copy(id = "$it"), pictures) } } }
        delay(20)
        engine.close()
        val ends = adds.awaitAll()
        assertTrue(ends.all { it.isSuccess || it.exceptionOrNull() is EngineClosedException }, "$ends")
        assertTrue(ends.any { it.isFailure })
        refused<EngineClosedException>("closed") { engine.add(mine) }
        refused<EngineClosedException>("closed") { engine.remove(known) }
        refused<EngineClosedException>("closed") { engine.compact() }
        refused<EngineClosedException>("closed") { engine.currentInfo() }
        Engine.open(pack).use { again ->
            ends.forEachIndexed { at, end -> assertEquals(end.isSuccess, again.has("$at")) }
            again.add(mine)
        }
    }
}
