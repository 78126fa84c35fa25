package app.shelfsight

import app.shelfsight.internal.Bridge
import app.shelfsight.internal.FastPath
import app.shelfsight.internal.FfiConverterTypeReply
import app.shelfsight.internal.FfiConverterTypeRequest
import app.shelfsight.internal.Library
import app.shelfsight.internal.NativeEngine
import app.shelfsight.internal.OpenSettings
import app.shelfsight.internal.Reply
import app.shelfsight.internal.Request
import app.shelfsight.internal.Work
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import org.junit.jupiter.api.Test
import java.nio.ByteBuffer

/**
 * What a call costs beside the library's own work; a measurement, so it runs only when named: scripts/bench-calls.sh. Of a
 * frame it is the whole call less the stages that the library times itself, part by part. What is run again and again finds
 * its code and data in the caches; what comes after a network, as all but the refused frame does, finds them cold.
 */
class CallCost {
    private val camera = Demo.Yuv(1280, 960).fill { x, y -> (x * 31 xor y * 17) * 0x10101 }
    private val frame = camera.frame()

    /** Medians and 95th percentiles of what [run] adds to its lists, in microseconds. */
    private fun measured(runs: Int, vararg names: String, run: (Array<Double>) -> Unit) {
        repeat(runs) { run(Array(names.size) { 0.0 }) }
        val all = List(runs) { Array(names.size) { 0.0 }.also(run) }
        for ((at, name) in names.withIndex()) {
            val times = all.map { it[at] }.sorted()
            println("%-52s median %9.3f µs   p95 %9.3f µs".format(name, times[runs / 2], times[runs * 95 / 100]))
        }
    }

    private fun now() = System.nanoTime() / 1e3

    private fun perCall(calls: Int, call: () -> Unit): Double {
        val start = now()
        repeat(calls) { call() }
        return (now() - start) / calls
    }

    private fun stages(reply: Reply) = when (reply) {
        is Reply.Found -> reply.times
        is Reply.Scanned -> reply.times
        is Reply.Coded -> emptyList()
    }.sumOf { it.ms } * 1e3

    private fun bytes(request: Request): ByteArray {
        val buffer = ByteBuffer.allocate(FfiConverterTypeRequest.allocationSize(request).toInt())
        FfiConverterTypeRequest.write(request, buffer)
        return buffer.array().copyOf(buffer.position())
    }

    @Test
    fun measure() {
        Library.load()
        val settings = OpenSettings(verify = false, maxPackBytes = null, maxMemoryBytes = null, threads = 1u)
        val native = NativeEngine.open(Demo.pack.path, settings)
        val key = native.key().toLong()
        measured(200, "empty call, JNA") { it[0] = perCall(1000) { native.key() } }
        measured(200, "empty call, JNI") { it[0] = perCall(1000) { FastPath.nothing() } }
        fun request(job: Long, top: UInt, rotation: Int = 0) =
            Request(job.toULong(), frame.layout!!.copy(rotation = rotation), Work.Find(null, null, top, false), emptyList(), barcodes = false)
        measured(20_000, "a frame that is refused, JNI") {
            val start = now()
            val job = FastPath.begin(key)
            runCatching { Bridge.query(key, request(job, 10u, rotation = 45), frame) }
            FastPath.end(key, job)
            it[0] = now() - start
        }
        // A query takes too long to be run as often as the compiler wants to see code before it compiles it well.
        val job = FastPath.begin(key)
        val saved = FastPath.query(key, bytes(request(job, 10u)), camera.y, camera.u, camera.v)
        FastPath.end(key, job)
        repeat(20_000) { Bridge.found(FfiConverterTypeReply.read(ByteBuffer.wrap(saved).apply { get() })) }
        measured(2000, "10 products: reading one reply again and again") {
            val start = now()
            Bridge.found(FfiConverterTypeReply.read(ByteBuffer.wrap(saved).apply { get() }))
            it[0] = now() - start
        }
        for (top in listOf(0u, 10u)) {
            // In one call after another, so that each part meets the caches as the network left them.
            measured(
                300,
                "$top products, JNI: asking (job, request, crossing)",
                "$top products, JNI: reading the reply",
                "$top products, JNI: the façade's types",
                "$top products, JNI: the whole call above the core",
            ) {
                val start = now()
                val job = FastPath.begin(key)
                val asked = FastPath.query(key, bytes(request(job, top)), camera.y, camera.u, camera.v)
                FastPath.end(key, job)
                val answered = now()
                val buffer = ByteBuffer.wrap(asked).apply { get() }
                val reply = FfiConverterTypeReply.read(buffer)
                val read = now()
                Bridge.found(reply)
                val made = now()
                it[0] = answered - start - stages(reply)
                it[1] = read - answered
                it[2] = made - read
                it[3] = made - start - stages(reply)
            }
        }
        measured(200, "10 products, JNA: the whole call above the core") {
            val start = now()
            val job = native.begin()
            val reply = native.query(request(job.toLong(), 10u), camera.y, camera.u, camera.v)
            native.end(job)
            Bridge.found(reply)
            it[0] = now() - start - stages(reply)
        }
        native.shut()
        runBlocking {
            Demo.withEngine { engine ->
                val options = FindOptions(barcodes = false)
                val turned = camera.frame(rotation = 45)
                repeat(20_000) { runCatching { engine.find(turned, options = options) } }
                suspend fun above(): Double {
                    val start = now()
                    val found = engine.find(frame, options = options)
                    return now() - start - found.milliseconds.values.sum() * 1e3
                }
                measured(300, "10 products, suspend, on the engine's dispatcher") {
                    runBlocking(Dispatchers.Default) { it[0] = above() }
                }
                measured(300, "10 products, suspend, from another thread") { runBlocking { it[0] = above() } }
                // What those two changes of thread cost after as long a wait, whoever makes them.
                measured(300, "of that, there and back without a query") {
                    runBlocking {
                        Thread.sleep(5)
                        val start = now()
                        withContext(Dispatchers.Default) {}
                        it[0] = now() - start
                    }
                }
            }
        }
    }
}
