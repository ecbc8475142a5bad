


define internal void @kernel0(ptr noalias %buffers, i64 %begin, i64 %end) noinline #0 {
entry:
  %a0 = getelementptr inbounds ptr, ptr %buffers, i64 0
  %b0 = load ptr, ptr %a0, !invariant.load !3
  %a1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %b1 = load ptr, ptr %a1, !invariant.load !4
  br label %start
start:
  br label %before1
before1:
  %v5 = icmp slt i64 %begin, %end
  br i1 %v5, label %body2, label %leave4
body2:
  %body2.i = phi i64 [ %begin, %before1 ], [ %body2.next, %latch3 ]
  %v6 = getelementptr inbounds i64, ptr %b0, i64 %body2.i
  %v7 = load i64, ptr %v6, !llvm.access.group !0
  %v8 = icmp slt i64 %v7, 0
  %v9 = add i64 %v7, 7
  %v10 = select i1 %v8, i64 %v9, i64 %v7
  %v11 = getelementptr inbounds i64, ptr %b1, i64 %body2.i
  store i64 %v10, ptr %v11, !llvm.access.group !0
  br label %latch3
latch3:
  %body2.next = add nsw i64 %body2.i, 1
  %v12 = icmp slt i64 %body2.next, %end
  br i1 %v12, label %body2, label %leave4, !llvm.loop !2
leave4:
  ret void
}

define internal void @kernel1(ptr noalias %buffers, i64 %begin, i64 %end) noinline #0 {
entry:
  %a0 = getelementptr inbounds ptr, ptr %buffers, i64 0
  %b0 = load ptr, ptr %a0, !invariant.load !7
  %a1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %b1 = load ptr, ptr %a1, !invariant.load !12
  %a2 = getelementptr inbounds ptr, ptr %buffers, i64 2
  %b2 = load ptr, ptr %a2, !invariant.load !13
  br label %start
start:
  br label %before1
before1:
  %v5 = icmp slt i64 %begin, %end
  br i1 %v5, label %body2, label %leave4
body2:
  %body2.i = phi i64 [ %begin, %before1 ], [ %body2.next, %latch3 ]
  %v6 = getelementptr inbounds i64, ptr %b0, i64 %body2.i
  %v7 = load i64, ptr %v6
  %v8 = icmp slt i64 %v7, 0
  %v9 = add i64 %v7, 7
  %v10 = select i1 %v8, i64 %v9, i64 %v7
  %v11 = call i64 @llvm.smax.i64(i64 %v10, i64 0)
  %v12 = call i64 @llvm.smin.i64(i64 %v11, i64 6)
  br label %before13
before13:
  %v17 = icmp slt i64 0, 3
  br i1 %v17, label %body14, label %leave16
body14:
  %body14.i = phi i64 [ 0, %before13 ], [ %body14.next, %latch15 ]
  %v18 = mul nsw i64 %v12, 3
  %v19 = add nsw i64 %v18, %body14.i
  %v20 = getelementptr inbounds float, ptr %b1, i64 %v19
  %v21 = load float, ptr %v20, !llvm.access.group !8
  %v22 = mul nsw i64 %body2.i, 3
  %v23 = add nsw i64 %v22, %body14.i
  %v24 = getelementptr inbounds float, ptr %b2, i64 %v23
  store float %v21, ptr %v24, !llvm.access.group !8
  br label %latch15
latch15:
  %body14.next = add nsw i64 %body14.i, 1
  %v25 = icmp slt i64 %body14.next, 3
  br i1 %v25, label %body14, label %leave16, !llvm.loop !11
leave16:
  br label %latch3
latch3:
  %body2.next = add nsw i64 %body2.i, 1
  %v26 = icmp slt i64 %body2.next, %end
  br i1 %v26, label %body2, label %leave4, !llvm.loop !6
leave4:
  ret void
}

define internal i32 @part0.8(ptr noalias %buffers, ptr %context) noinline #0 {
  %t0 = alloca [2 x ptr]
  %t1 = alloca [3 x ptr]
  ; cluster 0
  %v1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %v2 = load ptr, ptr %v1
  store ptr %v2, ptr %t0
  %v3 = getelementptr inbounds ptr, ptr %buffers, i64 5
  %v4 = load ptr, ptr %v3
  %v5 = getelementptr inbounds ptr, ptr %t0, i64 1
  store ptr %v4, ptr %v5
  call void @kernel0(ptr %t0, i64 0, i64 2)
  ; cluster 1
  %v6 = getelementptr inbounds ptr, ptr %buffers, i64 5
  %v7 = load ptr, ptr %v6
  store ptr %v7, ptr %t1
  %v8 = load ptr, ptr %buffers
  %v9 = getelementptr inbounds ptr, ptr %t1, i64 1
  store ptr %v8, ptr %v9
  %v10 = getelementptr inbounds ptr, ptr %buffers, i64 2
  %v11 = load ptr, ptr %v10
  %v12 = getelementptr inbounds ptr, ptr %t1, i64 2
  store ptr %v11, ptr %v12
  call void @kernel1(ptr %t1, i64 0, i64 2)
  ret i32 0
}

define i32 @program(ptr %buffers, ptr %context) #0 {
  call void @cr.enter(ptr %context)
  %cr.mode.slot = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %cr.mode.slot)
  %cr.mode.saved = load i32, ptr %cr.mode.slot
  %cr.mode.flush = or i32 %cr.mode.saved, 32832
  store i32 %cr.mode.flush, ptr %cr.mode.slot
  call void @llvm.x86.sse.ldmxcsr(ptr %cr.mode.slot)
  %status = call i32 @part0.8(ptr %buffers, ptr %context)
  store i32 %cr.mode.saved, ptr %cr.mode.slot
  call void @llvm.x86.sse.ldmxcsr(ptr %cr.mode.slot)
  call void @cr.leave(ptr %context)
  ret i32 %status
}

attributes #0 = { nounwind "prefer-vector-width"="256" "no-trapping-math"="true" }

!0 = distinct !{}
!1 = !{!"llvm.loop.parallel_accesses", !0}
!2 = distinct !{!2, !1}
!3 = !{}
!4 = !{}
!5 = !{!"llvm.loop.unroll.disable"}
!6 = distinct !{!6, !5}
!7 = !{}
!8 = distinct !{}
!9 = !{!"llvm.loop.parallel_accesses", !8}
!10 = !{!"llvm.loop.unroll.disable"}
!11 = distinct !{!11, !9, !10}
!12 = !{}
!13 = !{}

