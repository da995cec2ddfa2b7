// A page that is opened from a folder may not start a worker: there, a hidden frame does the search's work instead.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      this.frame.srcdoc = "<script>postMessage = data => parent.postMessage(data, '*')<\/script>" +
        `<script src="${new URL(url, document.baseURI)}"><\/script>`
      this.loaded = new Promise(done => this.frame.addEventListener("load", done))
      addEventListener("message", event => {
        if (event.source === this.frame.contentWindow)
          this.dispatchEvent(new MessageEvent("message", { data: event.data }))
      })
      document.body.append(this.frame)
    }
    postMessage(data) { // the frame's own postMessage is what its script answers with
      this.loaded.then(() => postMessage.call(this.frame.contentWindow, data, "*"))
    }
    terminate() {
      this.frame.remove()
    }
  }
}
